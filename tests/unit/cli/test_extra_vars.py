"""Variables of the command line: as pairs, as YAML or JSON, from files; later ones win."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from kubeforge.cli.extra_vars import read


def test_later_ones_win_and_kinds_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "vars.yml"
    file.write_text("ports: [22]\nname: a\n")
    given = [f"@{file}", '{"ports": [22, 443]}', "{count: 3}", "name=b=c"]
    assert read(given) == {"ports": [22, 443], "name": "b=c", "count": 3}
    assert read([]) == {}


def test_several_at_once_are_several_as_in_ansible() -> None:
    assert read(["version=1.2 user=bob", "text=hello world", "more='a b=c'"]) == {
        "version": "1.2",
        "user": "bob",
        "text": "hello world",
        "more": "'a b=c'",
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("novalue", "`novalue` is not KEY=VALUE, {KEY: VALUE} or @FILE"),
        ("a-b=1", "is not KEY=VALUE"),
        ("{a: [}", "{a: [}: while parsing"),
        ("{day: 2026-02-30}", "day is out of range"),
        ("{1: 2}", "variables are expected, NAME: VALUE"),
        ("@/nowhere.yml", "/nowhere.yml: No such file or directory"),
        ("@FILE", "put it into group_vars/all/ of the inventory"),
    ],
)
def test_what_is_none_is_told(value: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n00\n")
    with pytest.raises(click.BadParameter) as error:
        read([value.replace("FILE", str(tmp_path / "vault.yml"))])
    assert said in error.value.message
