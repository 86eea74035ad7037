"""The corpus of tests/integration/inventory as it is read: hosts, groups and variables of each, as goldens.

They were read by a person against Ansible's documented rules; that Ansible itself says the same is asked in
tests/integration/inventory/test_corpus.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.inventory.listing import as_list
from kubeforge.inventory.loader import load
from kubeforge.inventory.vault import Vault
from kubeforge.inventory.vault_passwords import read_password
from tests.integration.inventory.corpus import CASES, PASSWORD_FILE, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_read(case: Case, golden: Callable[[str, str], None]) -> None:
    vault = Vault([read_password(PASSWORD_FILE, "corpus")])
    inventory = load(case.paths, playbook_folder=case.playbook_folder, vault=vault)
    text = json.dumps(as_list(inventory), indent=1, ensure_ascii=False, sort_keys=True)
    golden(f"inventory/{case.name}.json", text + "\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_we_list_is_a_dynamic_inventory_again(case: Case, tmp_path: Path) -> None:
    vault = Vault([read_password(PASSWORD_FILE, "corpus")])
    listed = as_list(load(case.paths, playbook_folder=case.playbook_folder, vault=vault))
    program = tmp_path / "listed"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(listed)}\nEND\n")
    program.chmod(0o755)
    assert as_list(load(program)) == listed


def test_there_are_enough() -> None:
    assert len(CASES) >= 40
