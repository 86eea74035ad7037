"""What the real ansible-vault encrypts is opened by us, with its labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from kubeforge.inventory.vault import Vault
from kubeforge.inventory.vault_passwords import read_password
from kubeforge.secret import Secret
from tests.integration.inventory.ansible import Ansible

WORDS = "grüße, 'and' \"more\"\n"


@pytest.mark.parametrize("label", ["default", "prod"])
def test_a_value(tmp_path: Path, ansible: Ansible, label: str) -> None:
    password = tmp_path / "password"
    password.write_text("geheim\n")
    sealed = ansible.run(
        "ansible-vault", "encrypt_string", f"--vault-id={label}@{password}", "--stdin-name=pw", stdin=WORDS
    )
    hosts = tmp_path / "hosts.yml"
    indented = "".join(f"      {line}\n" for line in sealed.splitlines())
    hosts.write_text(f"web:\n  hosts:\n    w1:\n{indented}")
    assert load(hosts, vault=Vault([read_password(password, label)])).hosts["w1"].vars["pw"] == Secret(WORDS)
    password.write_text("falsch\n")
    with pytest.raises(InputError, match="the vault password does not open it"):
        load(hosts, vault=Vault([read_password(password, label)]))


def test_a_file(tmp_path: Path, ansible: Ansible) -> None:
    password = tmp_path / "password"
    password.write_text("geheim\n")
    hosts = tmp_path / "inventory" / "hosts.ini"
    (hosts.parent / "group_vars").mkdir(parents=True)
    hosts.write_text("[web]\nw1\n")
    variables = hosts.parent / "group_vars/web.yml"
    variables.write_text("key: value\nport: 80\n")
    ansible.run("ansible-vault", "encrypt", f"--vault-password-file={password}", str(variables))
    assert variables.read_text().startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    found = load(hosts, vault=Vault([read_password(password, "default")])).hosts["w1"].vars
    assert dict(found) == {"key": Secret("value"), "port": Secret("80")}
