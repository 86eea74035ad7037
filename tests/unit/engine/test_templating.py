"""Ansible's filters and tests in playbooks, on plain values and on secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.templating import evaluated, rendered, rendered_file, wrong_template
from kubeforge.errors import InputError, KubeforgeError
from kubeforge.inventory.filters import FILTERS, OF_TEXT, TESTS
from kubeforge.secret import Secret

NAMES: dict[str, Any] = {
    "password": Secret("hunter22"),
    "pin": Secret("42"),
    "spaced": Secret("a b"),
    "sealed": Secret('{"user": "app", "ports": [80], "on": true}'),
    "options": {"a": 1, "b": {"c": 2}},
    "login": {"user": "app", "password": Secret("hunter22")},
    "yes": "yes",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ options | combine({'b': 3}) }}", {"a": 1, "b": 3}),
        ("{{ options | to_json }}", '{"a": 1, "b": {"c": 2}}'),
        ("{{ yes | bool }}", True),
        ("{{ 'web1' is match('web[0-9]+') }}", True),
        ("{{ [1, 2] | union([2, 3]) }}", [1, 2, 3]),
        ("x {{ '/etc/a' | basename }}", "x a"),
        ("{{ password | b64encode }}", Secret("aHVudGVyMjI=")),
        ("{{ login | to_json }}", Secret('{"user": "app", "password": "hunter22"}')),
        ("pw={{ password | regex_replace('2+$', '') }}", Secret("pw=hunter")),
        ("{{ password is search('^hunter') }}", True),
        ("{{ sealed | from_json }}", {"user": Secret("app"), "ports": [Secret("80")], "on": True}),
        ("{{ options | combine(login) }}", {**NAMES["options"], **NAMES["login"]}),
        ("{{ (login | dict2items)[1].value }}", Secret("hunter22")),
        ("{{ pin | int }}", Secret("42")),
        ("{{ pin | float }}", Secret("42.0")),
        ("db://app:{{ spaced | urlencode }}@h", Secret("db://app:a%20b@h")),
        ("{{ login | tojson }}", Secret('{"password": "hunter22", "user": "app"}')),
        ("{{ password == 'hunter22' }}", True),
        ("{{ password in ['a', password] }}", True),
        ("{% if 'hunter22' != password %}other{% else %}same{% endif %}", "same"),
        ("{{ 'a' in login and 1 < 2 }}", False),
    ],
)
def test_filters(text: str, value: Any) -> None:
    assert evaluated(text, NAMES) == value


def test_a_secret_is_not_taken_apart_otherwise() -> None:
    apart = ("{{ password | upper }}", "{{ 'x' ~ password }}", "{{ password }}{{ password[1:] }}")
    inside = ("{{ password.reveal() }}", "x{{ password.sha256 }}", "{{ (password | attr('reveal'))() }}")
    for text in (*apart, *inside):
        with pytest.raises(KubeforgeError, match=r"secret is taken apart|cannot be filled"):
            evaluated(text, NAMES)
    assert rendered("a{{ password }}", NAMES) == Secret("ahunter22")


@pytest.mark.parametrize("text", ["{{ 5 | split }}", "{{ 'a' | regex_replace('(') }}", "x{{ 5 | items2dict }}"])
def test_whatever_a_filter_raises_is_told_with_the_text(text: str, tmp_path: Path) -> None:
    with pytest.raises(KubeforgeError) as caught:
        evaluated(text, NAMES)
    assert f"{text!r} cannot be filled: " in str(caught.value)
    (tmp_path / "a.j2").write_text(f"first\n{text}\n")
    with pytest.raises(InputError) as told:
        rendered_file(tmp_path / "a.j2", NAMES)
    assert f"{tmp_path / 'a.j2'}:2: cannot be filled" in str(told.value)


def test_every_name_is_one() -> None:
    assert FILTERS.keys() | TESTS.keys() >= OF_TEXT


def test_a_filter_that_is_not_there_is_found_without_a_host() -> None:
    assert wrong_template("{{ options | to_jsn }}") == "No filter named 'to_jsn'."
    assert wrong_template("a {{ options is sbset }}") == "No test named 'sbset'."
    assert wrong_template("{{ options | to_json }}") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{- number -}}", 5),
        ("{{ {} | combine({'a': {'b': 2}}) }}", {"a": {"b": 2}}),
        ("{{ '}}' }}", "}}"),
        ("{{ number }}{{ number }}", "55"),
    ],
)
def test_a_text_that_is_one_expression_has_its_type(text: str, value: Any) -> None:
    assert evaluated(text, {"number": 5}) == value


def test_a_backslash_in_quotes_is_a_sign_like_others() -> None:
    """As in Ansible, and in inventories here."""
    assert evaluated(r"{{ 'abc' | regex_replace('(b)', '[\1]') }}", {}) == "a[b]c"
    assert evaluated(r"x{{ 'a.c' | regex_replace('\.', '\\') }}", {}) == r"xa\c"
