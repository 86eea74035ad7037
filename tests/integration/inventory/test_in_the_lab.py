"""Groups of facts, and a dynamic inventory, with real hosts behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.lab.lab import Lab

pytestmark = pytest.mark.lab
PROGRAM = "from kubeforge.cli import main; main()"


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("inventory-it", control_planes=1, workers=1) as made:
        yield made


def kubeforge(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_groups_of_facts(lab: Lab, tmp_path: Path) -> None:
    groups = tmp_path / "groups.yml"
    groups.write_text(
        "plugin: constructed\nkeyed_groups:\n  - {key: ansible_distribution, prefix: os}\n"
        "  - {key: ansible_architecture, prefix: arch}\ncompose: {kernel: ansible_facts.kernel}\n"
    )
    sources = ("-i", str(lab.inventory), "-i", str(groups))
    without: dict[str, Any] = json.loads(kubeforge("inventory", "list", *sources))
    assert not [name for name in without if name.startswith(("os_", "arch_"))]
    found = json.loads(kubeforge("inventory", "list", *sources, "--facts"))
    hosts = sorted(host.name for host in lab.hosts)
    assert [sorted(found[name]["hosts"]) for name in found if name.startswith(("os_", "arch_"))] == [hosts, hosts]
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert {found["_meta"]["hostvars"][name]["kernel"] for name in hosts} == {release}


def test_a_dynamic_inventory_leads_to_hosts(lab: Lab, tmp_path: Path) -> None:
    program = tmp_path / "inventory"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' inventory list -i {lab.inventory}\n")
    program.chmod(0o755)
    assert kubeforge("ssh", "-i", str(program), "cp1", "--", "echo", "reached").strip() == "reached"
