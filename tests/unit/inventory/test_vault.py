"""Encrypted files and values: opened, secret everywhere, and one clear error where the password is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.listing import as_list, rendered_variables
from kubeforge.inventory.loader import load
from kubeforge.inventory.vault import Refused, Vault, VaultPassword
from kubeforge.inventory.vault_passwords import read_password
from kubeforge.secret import MASK, Secret
from tests.unit.inventory.sealing import seal

RIGHT = Vault([VaultPassword(password=Secret("right"))])


def password(words: str, label: str = "default") -> VaultPassword:
    return VaultPassword(label=label, password=Secret(words))


def indented(text: str, blanks: int) -> str:
    return "".join(" " * blanks + line + "\n" for line in text.splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory with an encrypted value, one inside of a list, an encrypted file, and templates over them."""
    (tmp_path / "hosts.yml").write_text(
        "web:\n  hosts:\n    w1:\n      token: !vault |\n" + indented(seal("top secret", "right"), 8)
        + "      users:\n        - name: bob\n          key: !vault |\n" + indented(seal("bobs", "right", "prod"), 12)
        + "      header: 'Bearer {{ token }}'\n      first: '{{ users[0].key }}'\n"
        + "      ansible_password: '{{ vault_login }}'\n      ansible_host: '{{ vault_address }}'\n"
        + "      from_file: '{{ vault_map.a }}'\n"
    )  # fmt: skip
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/vault.yml").write_text(
        seal("vault_login: pa{{ 's' }}s\nvault_address: 192.0.2.9\nvault_map: {a: 5, b: true, c: [x]}\n", "right")
    )
    return tmp_path


def test_what_is_encrypted_is_secret_wherever_it_goes(folder: Path) -> None:
    host = load(folder, vault=RIGHT).hosts["w1"]
    assert host.vars["token"] == Secret("top secret")
    assert host.vars["users"] == [{"name": "bob", "key": Secret("bobs")}]
    assert host.vars["header"] == Secret("Bearer top secret")
    assert host.vars["first"] == Secret("bobs")
    assert host.vars["vault_map"] == {"a": Secret("5"), "b": True, "c": [Secret("x")]}
    assert host.vars["from_file"] == Secret("5")
    assert host.connection.password == Secret("pass")
    assert host.connection.address == "192.0.2.9"


def test_no_list_shows_it(folder: Path) -> None:
    found = load(folder, vault=RIGHT)
    shown = f"{as_list(found)} {rendered_variables(found.hosts['w1'])} {found.hosts['w1'].vars!r} {RIGHT!r}"
    for words in ("top secret", "bobs", "pass'", "192.0.2.9", "right"):
        assert words not in shown
    assert as_list(found)["_meta"]["hostvars"]["w1"]["vault_map"] == {"a": MASK, "b": True, "c": [MASK]}
    with pytest.raises(TypeError, match="not serialised"):
        pickle.dumps(found.hosts["w1"])


def test_a_wrong_password_is_one_error(folder: Path) -> None:
    (folder / "group_vars/web.yml").write_text(seal("x: 1\n", "right"))
    with pytest.raises(InputError) as caught:
        load(folder, vault=Vault([password("wrong")]))
    assert [problem.message for problem in caught.value.problems] == [
        "the vault password does not open it (and 2 more)",
        "the vault password does not open it with the label prod",
    ]


def test_without_a_password_values_wait_until_they_are_needed(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all:\n  hosts:\n    h:\n      x: !vault |\n" + indented(seal("s", "right"), 8))
    found = load(hosts)
    assert as_list(found)["_meta"]["hostvars"] == {"h": {"x": MASK}}
    with pytest.raises(InputError, match="there is no password: give it with --vault-password-file") as caught:
        found.hosts["h"].vars["x"]
    assert (caught.value.problems[0].file, caught.value.problems[0].line) == (str(hosts), 4)


def test_a_file_without_a_password_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="encrypted by ansible-vault, and there is no password"):
        load(folder)


def test_the_labels_password_is_tried_first_and_the_others_too() -> None:
    one, other = seal("1", "a", "one"), seal("2", "b", "other")
    vault = Vault([password("a", "one"), password("b", "two")])
    assert (vault.open(one), vault.open(other)) == (Secret("1"), Secret("2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$ANSIBLE_VAULT;1.1;AES\n00", "its cipher AES is not served, only AES256 is"),
        ("$ANSIBLE_VAULT;2.0;AES256\n00", "it does not begin with a line like"),
        ("$ANSIBLE_VAULT;1.1;AES256\nzz", "it is damaged"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6161", "it is damaged"),
        (seal("x", "right")[:-3], "it is damaged"),
        (seal("x", "right").rstrip()[:-2] + "2b", "it is damaged"),
        (
            seal("x", "right").rstrip()[:-2] + ("31" if seal("x", "right").rstrip()[-2:] == "30" else "30"),
            "does not open",
        ),
    ],
)
def test_damaged(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        RIGHT.open(text)


def test_nothing_of_an_encrypted_file_is_quoted(tmp_path: Path) -> None:
    for name, text in (
        ("a.ini", "[web]\nw1 geheim\n"),
        ("b.yml", "web: geheim\n"),
        ("c.yml", "web: {hosts: {w: geheim}}"),
    ):
        (tmp_path / name).write_text(seal(text, "right"))
        with pytest.raises(InputError) as caught:
            load(tmp_path / name, vault=RIGHT)
        assert "geheim" not in str(caught.value)
    (tmp_path / "d.ini").write_text(seal("[web]\nw1 ansible_port=geheim\n", "right"))
    with pytest.raises(InputError, match="its value, which is secret, cannot be used here"):
        load(tmp_path / "d.ini", vault=RIGHT)


@pytest.mark.parametrize("value", ["a{{ geheim", "{{ geheim }}", "{{ 'geheim' + 1 }}", "{% geheim %}"])
def test_templates_in_encrypted_files_are_not_quoted(tmp_path: Path, value: str) -> None:
    (tmp_path / "hosts.yml").write_text(seal(f'web: {{hosts: {{w: {{x: "{value}"}}}}}}', "right"))
    found = load(tmp_path / "hosts.yml", vault=RIGHT).hosts["w"].vars
    with pytest.raises(InputError) as caught:
        found["x"]
    assert "geheim" not in str(caught.value)
    assert caught.value.problems[0].line == 1


class TestPasswords:
    def test_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "p").write_text("  words with blanks \n")
        assert read_password(tmp_path / "p", "x") == VaultPassword(label="x", password=Secret("words with blanks"))

    def test_from_a_program(self, tmp_path: Path) -> None:
        for name, said in (("p", ""), ("keyring-client.sh", "--vault-id prod")):
            path = tmp_path / name
            path.write_text('#!/bin/sh\necho "got $*"\n')
            path.chmod(0o755)
            assert read_password(path, "prod").password == Secret(f"got {said}".strip())

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "cannot be read: No such file"),
            ("\n", "there is no password in it"),
            ("#!/bin/sh\necho locked >&2; exit 1\n", "it failed with exit code 1: locked"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str | None, message: str) -> None:
        path = tmp_path / "p"
        if text is not None:
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o600)
        with pytest.raises(InputError, match=message):
            read_password(path, "default")
