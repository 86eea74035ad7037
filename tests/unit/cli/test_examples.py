"""Every inventory that ships as an example loads and has nothing to be warned of."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml

from kubeforge.cli.session import examine_input
from kubeforge.lab.inventory import cluster_yaml, hosts_yaml
from kubeforge.lab.layout import LabPaths
from kubeforge.lab.record import LabRecord, Shape

FOLDER = Path(__file__).parents[3] / "inventory"
EXAMPLES = sorted(path.parent.name for path in FOLDER.glob("*/cluster.yml"))
VAGRANT = Path(__file__).parents[1] / "inventory/vagrant/ssh-config-virtualbox.txt"


@pytest.fixture(autouse=True)
def vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `vagrant` whose machines run; the inventory of that name asks it."""
    program = tmp_path / "vagrant"
    program.write_text(f"#!/bin/sh\nexec cat {VAGRANT}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBEFORGE_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))


def test_there_are_examples() -> None:
    assert {"lab", "single", "ha", "external-etcd", "vagrant"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_valid(name: str) -> None:
    found = examine_input(FOLDER / name, {})
    assert found.problems == ()
    inventory, spec = found.required()
    assert inventory.control_planes
    assert spec.kubernetes


def test_lab_example_is_what_a_lab_writes() -> None:
    record = LabRecord(name="demo", number=0, shape=Shape(), kubernetes="1.36.3", image="")
    paths = LabPaths(folder=Path("/var/lib/kubeforge/labs/demo"))
    written = {"hosts.yml": hosts_yaml(record, paths), "cluster.yml": cluster_yaml(record)}
    for name, text in written.items():
        assert yaml.safe_load((FOLDER / "lab" / name).read_text()) == yaml.safe_load(text)
