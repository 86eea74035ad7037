"""`kubeforge inventory`: what it prints, what it hides, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from kubeforge.cli import root
from kubeforge.cli.boundary import guarded
from tests.unit.inventory.sealing import seal

Captured = pytest.CaptureFixture[str]
HOSTS = (
    "[web]\nw[1:2] ansible_password=geheim\n[db]\nd1 url='http://{{ inventory_hostname }}/'\n[site:children]\nweb\ndb\n"
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBEFORGE_INVENTORY", "KUBEFORGE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "hosts.ini").write_text(HOSTS)


def run(*arguments: str) -> int:
    return guarded(root, ["inventory", *arguments], "kubeforge")


def told(capsys: Captured, arguments: Sequence[str]) -> str:
    assert run(*arguments) == 0
    return capsys.readouterr().out


def test_list(capsys: Captured) -> None:
    found = json.loads(told(capsys, ["list", "-i", "hosts.ini"]))
    assert found["site"] == {"children": ["web", "db"]}
    assert found["_meta"]["hostvars"]["w1"] == {"ansible_password": "••••••"}
    assert found["_meta"]["hostvars"]["d1"] == {"url": "http://{{ inventory_hostname }}/"}


@pytest.mark.parametrize("form", [["--yaml"], ["-o", "yaml"]])
def test_list_as_yaml_is_an_inventory_again(capsys: Captured, tmp_path: Path, form: list[str]) -> None:
    text = told(capsys, ["list", "-i", "hosts.ini", *form, "-l", "db"])
    assert yaml.safe_load(text)["all"]["children"]["site"]["children"]["db"] == {
        "hosts": {"d1": {"url": "http://{{ inventory_hostname }}/"}}
    }
    (tmp_path / "again.yml").write_text(text)
    assert json.loads(told(capsys, ["host", "d1", "-i", "again.yml"])) == {"url": "http://d1/"}


def test_graph(capsys: Captured) -> None:
    assert told(capsys, ["graph", "-i", "hosts.ini"]).splitlines() == [
        "@all:",
        "  |--@ungrouped:",
        "  |--@site:",
        "  |  |--@web:",
        "  |  |  |--w1",
        "  |  |  |--w2",
        "  |  |--@db:",
        "  |  |  |--d1",
    ]


def test_host_renders_and_raw_does_not(capsys: Captured) -> None:
    assert json.loads(told(capsys, ["host", "d1", "-i", "hosts.ini", "--raw"]))["url"].startswith("http://{{")
    assert json.loads(told(capsys, ["host", "w1", "-i", "hosts.ini"])) == {"ansible_password": "••••••"}


def test_host_tells_all_that_cannot_be_rendered(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("h a={{nothing}} b={{lookup('env','X')}}\n")
    assert run("host", "h", "-i", "hosts.ini") == 10
    said = capsys.readouterr().err
    assert "hosts.ini:1: a: the variable nothing is not defined" in said
    assert "hosts.ini:1: b: the variable lookup is not defined" in said
    assert "kubeforge inventory host h --raw" in said


def test_wrong_names(capsys: Captured) -> None:
    assert run("host", "dd1", "-i", "hosts.ini") == 64
    assert "there is no host dd1 in the inventory; did you mean `d1`?" in capsys.readouterr().err
    assert run("list", "-i", "hosts.ini", "-l", "wbe") == 10
    assert "no group and no host is called 'wbe'; did you mean web?" in capsys.readouterr().err


def test_several_sources(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "more.yml").write_text("web: {hosts: {w9: }}\n")
    assert "w9" in told(capsys, ["graph", "-i", "hosts.ini", "-i", "more.yml"])
    monkeypatch.setenv("KUBEFORGE_INVENTORY", "hosts.ini:more.yml")
    assert "w9" in told(capsys, ["graph"])


def test_the_playbooks_variables(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "play/group_vars").mkdir(parents=True)
    (tmp_path / "play/group_vars/db.yml").write_text("x: 1\n")
    assert json.loads(told(capsys, ["host", "d1", "-i", "hosts.ini", "--playbook-dir", "play"]))["x"] == 1


class TestVault:
    @pytest.fixture(autouse=True)
    def sealed(self, tmp_path: Path) -> None:
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars/db.yml").write_text(seal("pin: 1234\n", "right", "prod"))
        (tmp_path / "right").write_text("right\n")
        (tmp_path / "wrong").write_text("wrong\n")
        for folder in ("me@work", "my files"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "right").write_text("right\n")

    @pytest.mark.parametrize(
        "options", [["--vault-password-file", "right"], ["--vault-id", "prod@right"], ["--vault-id", "right"],
                    ["--vault-id", "dev@wrong", "--vault-id", "prod@right"], ["--vault-id", "prod@me@work/right"]],
    )  # fmt: skip
    def test_opened_and_masked(self, capsys: Captured, options: list[str]) -> None:
        assert json.loads(told(capsys, ["host", "d1", "-i", "hosts.ini", *options]))["pin"] == "••••••"

    @pytest.mark.parametrize("path", ["right", "my files/right"])
    def test_from_the_environment(self, capsys: Captured, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", path)
        assert "pin" in told(capsys, ["host", "d1", "-i", "hosts.ini"])

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            ([], 10, "group_vars/db.yml: it is encrypted by ansible-vault, and there is no password"),
            (["--vault-password-file", "wrong"], 10, "group_vars/db.yml: the vault password does not open it"),
            (["--vault-password-file", "nothing"], 10, "nothing: the vault password: cannot be read: No such file"),
            (["-J"], 64, "the vault password is asked for on a terminal, and standard input is none"),
        ],
    )
    def test_mistakes(
        self, capsys: Captured, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, message: str
    ) -> None:
        with Path("/dev/null").open() as nobody:
            monkeypatch.setattr("sys.stdin", nobody)
            assert run("graph", "-i", "hosts.ini", *options) == code
        assert message in capsys.readouterr().err

    def test_typed(self, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def answer(question: str) -> str:
            asked.append(question)
            return "right"

        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("getpass.getpass", answer)
        assert "pin" in told(capsys, ["host", "d1", "-i", "hosts.ini", "--vault-id", "prod@prompt"])
        assert asked == ["Vault password (prod): "]
