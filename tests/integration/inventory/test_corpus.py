"""The whole corpus, as the real `ansible-inventory --list` reads it and as we do: hosts, groups, variables.

What we mask (passwords, what is encrypted) must be there in Ansible's answer, too; its value is compared in
test_vault.py. Children of a group are compared without their order, hosts with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeforge.inventory.listing import as_list
from kubeforge.inventory.loader import load
from kubeforge.inventory.patterns import select
from kubeforge.inventory.vault import Vault
from kubeforge.inventory.vault_passwords import read_password
from kubeforge.secret import MASK
from tests.integration.inventory.ansible import Ansible
from tests.integration.inventory.corpus import CASES, CORPUS, PASSWORD_FILE, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ansible_says_the_same(case: Case, ansible: Ansible) -> None:
    playbook = [f"--playbook-dir={case.playbook_folder}"] if case.playbook_folder else []
    said = ansible.run("ansible-inventory", "--list", *_sources(case), f"--vault-id=corpus@{PASSWORD_FILE}", *playbook)
    theirs = json.loads(said, object_hook=_unmarked)
    vault = Vault([read_password(PASSWORD_FILE, "corpus")])
    ours = as_list(load(case.paths, playbook_folder=case.playbook_folder, vault=vault))
    assert _hidden(_sorted(theirs), ours) == _sorted(ours)


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("children.ini", ["all", "usa", "southeast:!raleigh", "atlanta:&raleigh", "~host[12]", "host*", "usa[0]"]),
        (
            "ranges.ini",
            ["web[0:2]", "web[-1]", "db-[ab]*", "web:db:!db-a.example.com", "odd,grid", "*:!web", "web[2:]"],
        ),
        ("kubespray.ini", ["k8s_cluster", "kube_node:!kube_control_plane", "etcd:&kube_node", "node?", "!bastion"]),
        ("nested.yml", ["web", "east,west", "web:&east", "all:!web", "~(e|w)-web", "east[0:1]"]),
    ],
)
def test_patterns_mean_the_same(name: str, patterns: list[str], ansible: Ansible) -> None:
    inventory = load(CORPUS / name)
    theirs = {
        each: ansible.run("ansible", each, "-i", str(CORPUS / name), "--list-hosts").split()[2:] for each in patterns
    }
    assert {each: [host.name for host in select(inventory, each)] for each in patterns} == theirs


def _sources(case: Case) -> list[str]:
    return [f"--inventory={path}" for path in case.paths]


def _sorted(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with its children sorted, and without what says how it was made."""
    found = {}
    for name, group in answer.items():
        if name == "_meta":
            found[name] = {"hostvars": group["hostvars"]}
        else:
            found[name] = {**group, **({"children": sorted(group["children"])} if "children" in group else {})}
    return found


def _unmarked(part: dict[str, Any]) -> Any:
    """Return a text without Ansible's mark that it came out of a template (2.19)."""
    return part["__ansible_unsafe"] if set(part) == {"__ansible_unsafe"} else part


def _hidden(theirs: Any, ours: Any) -> Any:
    """Return Ansible's answer with the mask wherever ours has it."""
    if ours == MASK and theirs is not None:
        return MASK
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {key: _hidden(part, ours.get(key)) for key, part in theirs.items()}
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [_hidden(one, other) for one, other in zip(theirs, ours, strict=True)]
    return theirs


def test_the_corpus_is_all_of_it() -> None:
    """A folder's special case must not be left without its files."""
    assert all(path.exists() for case in CASES for path in case.paths), [
        path for case in CASES for path in case.paths if not Path(path).exists()
    ]
