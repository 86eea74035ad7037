"""Groups made of variables and facts; what agrees with Ansible is in the corpus, here is what is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.secret import Secret

HOSTS = "all:\n  children:\n    web:\n      hosts: {w1: {n: 1}, w2: {n: 2}}\n      vars: {g: 5}\n"
Facts = Mapping[str, Mapping[str, Any]]


def read(folder: Path, text: str, hosts: str = HOSTS, facts: Facts | None = None, **extra: Any) -> Inventory:
    (folder / "1.yml").write_text(hosts)
    (folder / "2.yml").write_text(f"plugin: constructed\n{text}")
    return load(folder, facts=facts, extra_vars=extra)


def test_of_facts(tmp_path: Path) -> None:
    text = "groups: {debian: ansible_distribution == 'Debian'}\n"
    text += "keyed_groups: [{key: ansible_facts.os_family, prefix: os}]\n"
    assert "debian" not in read(tmp_path, text).groups
    told = {"w2": {"ansible_distribution": "Debian", "ansible_facts": {"os_family": "Debian"}}}
    found = read(tmp_path, text, facts=told)
    assert (found.groups["debian"], found.groups["os_Debian"]) == (("w2",), ("w2",))


def test_extra_variables_only_where_they_are_asked_for(tmp_path: Path) -> None:
    groups = "groups: {chosen: pick is defined}\n"
    assert "chosen" not in read(tmp_path, groups, pick="x").groups
    assert read(tmp_path, f"use_extra_vars: true\n{groups}", pick="x").groups["chosen"] == ("w1", "w2")


def test_all_counts_where_it_is_written(tmp_path: Path) -> None:
    """Ansible hangs groups below `all` when everything is read, after the constructed ones are made."""
    groups = "groups: {seen: everywhere is defined}\n"
    assert "seen" not in read(tmp_path, groups, hosts="web: {hosts: {w1: }}\nall: {vars: {everywhere: 1}}\n").groups
    written = "all: {vars: {everywhere: 1}, children: {web: {hosts: {w1: }}}}\n"
    assert read(tmp_path, groups, hosts=written).groups["seen"] == ("w1",)


def test_what_is_made_of_a_secret_is_one(tmp_path: Path) -> None:
    hosts = "web: {hosts: {w1: {ansible_password: geheim}}}\n"
    found = read(tmp_path, "compose: {copied: \"'x' ~ ansible_password\"}\n", hosts=hosts)
    assert found.hosts["w1"].vars["copied"] == Secret("xgeheim")


def test_no_group_is_named_after_a_secret(tmp_path: Path) -> None:
    hosts = "web: {hosts: {w1: {ansible_password: geheim}}}\n"
    with pytest.raises(InputError, match="a group would be named after a secret") as caught:
        read(tmp_path, "keyed_groups: [{key: ansible_password}]\n", hosts=hosts)
    assert "geheim" not in str(caught.value)


def test_a_parent_of_a_template_and_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, 'keyed_groups: [{key: n, prefix: n, parent_group: "of {{ g }}"}]\n')
    assert found.groups["of_5"] == ("w1", "w2")
    assert (found.groups["n_1"], found.groups["n_2"]) == (("w1",), ("w2",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group: {a: b}", "2.yml:2: group: the option group is not known; did you mean groups?"),
        ("groups: {a: b ==}", "2.yml:2: groups.a: not a Jinja expression"),
        ('compose: {a: "{{ n }}"}', "it is written without braces"),
        ("compose: [a]", "2.yml:2: compose: expected expressions (name: expression), found a list"),
        ("keyed_groups: {key: n}", "2.yml:2: keyed_groups: expected a list of keyed groups (- key: …)"),
        ("keyed_groups: [{prefix: n}]", "2.yml:2: keyed_groups: a keyed group without its key"),
        (
            "keyed_groups: [{key: n, prefx: n}]",
            "keyed_groups.prefx: the option prefx is not known; did you mean prefix?",
        ),
        (
            "keyed_groups: [{key: n, prefix: on}]",
            "prefix: expected text, in quotes where YAML takes it for something else, found the truth value on",
        ),
        ("strict: maybe", "2.yml:2: strict: expected true or false"),
        ("strict: true\ngroups: {a: nothing}", "groups.a: the variable nothing is not defined (host w1)"),
        (
            "strict: true\nkeyed_groups: [{key: n, parent_group: '{{ no }}'}]",
            "the variable no is not defined; did you mean n? (host w2)",
        ),
        ("strict: true\nkeyed_groups: [{key: \"''\"}]", "nothing comes out of it for host w1"),
        ("groups: {a: n is nonsense}", "not a Jinja expression: No test named 'nonsense'"),
        ("groups: {a: n | ipaddr}", "not a Jinja expression: No filter named 'ipaddr'"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_before_its_hosts_it_would_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("plugin: constructed\ngroups: {a: 'true'}\n")
    (tmp_path / "b.ini").write_text("w1\n")
    with pytest.raises(InputError, match="no host is read before it: name it after the sources of its hosts"):
        load(tmp_path)


FACTUAL = """strict: true
compose: {family: ansible_facts.os_family, twice: n * 2}
groups: {debian: ansible_distribution == 'Debian', even: n % 2 == 0, red: family == 'RedHat'}
keyed_groups:
  - {key: ansible_distribution, prefix: os, parent_group: systems}
  - {key: family}
  - {key: n, prefix: number}
"""


def test_who_lacks_facts_and_what_they_may_make(tmp_path: Path) -> None:
    (tmp_path / "1.yml").write_text(HOSTS)
    (tmp_path / "2.yml").write_text(f"plugin: constructed\n{FACTUAL}")
    found = load(tmp_path, facts_come=True)
    assert found.wants_facts == ("w1", "w2")
    assert found.of_facts == ("debian", "red", "os_*", "systems", "_*")
    assert found.groups["even"] == ("w2",), "what needs no facts is there"
    with pytest.raises(InputError, match="ansible_distribution"):
        load(tmp_path)  # strict, and nobody will ask
    told = {"w1": {"ansible_distribution": "Debian", "ansible_facts": {"os_family": "Debian"}}}
    with pytest.raises(InputError, match=r"\(host w2\)"):
        load(tmp_path, facts=told)
    told["w2"] = {"ansible_distribution": "Rocky", "ansible_facts": {"os_family": "RedHat"}}
    known = load(tmp_path, facts=told)
    assert (known.groups["os_Rocky"], known.groups["red"], known.wants_facts) == (("w2",), ("w2",), ())


def test_who_has_facts_already_is_not_asked(tmp_path: Path) -> None:
    hosts = "web: {hosts: {w1: {ansible_distribution: Debian}, w2: }}\n"
    found = read(tmp_path, "groups: {debian: ansible_distribution == 'Debian'}\n", hosts=hosts)
    assert (found.groups["debian"], found.wants_facts) == (("w1",), ("w2",))
    assert read(tmp_path, "groups: {n: n is defined}\n").wants_facts == ()
