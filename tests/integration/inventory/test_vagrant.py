"""The Vagrantfile is one that Vagrant takes (Debian's package), and its inventory loads like any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "inventory/vagrant"
Validate = Callable[[str], subprocess.CompletedProcess[str]]
ANSWER = ROOT / "tests/unit/inventory/vagrant/ssh-config-virtualbox.txt"


@pytest.fixture
def vagrant(tmp_path: Path) -> Validate:
    """Return `validate(text)`: what Vagrant says to a Vagrantfile beside our table; no provider is needed for that.

    On a machine of one's own Vagrant may be missing, in CI it may not.
    """
    if shutil.which("vagrant") is None:
        told = "there is no vagrant: CI=true scripts/system-packages installs Debian's"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    copy = tmp_path / "copy"  # Vagrant writes beside its file
    shutil.copytree(FOLDER, copy / "inventory/vagrant")
    environment = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}

    def validate(text: str) -> subprocess.CompletedProcess[str]:
        (copy / "Vagrantfile").write_text(text)
        argv = ["vagrant", "validate", "--ignore-provider"]
        return subprocess.run(argv, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=120)

    return validate


def test_vagrantfile_is_valid(vagrant: Validate) -> None:
    done = vagrant((ROOT / "Vagrantfile").read_text())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_vagrantfile_is_refused(vagrant: Validate) -> None:
    """So `vagrant validate` does look at the machines that the table makes."""
    done = vagrant((ROOT / "Vagrantfile").read_text().replace("vm.hostname", "vm.hostnome"))
    assert done.returncode != 0
    assert "hostnome" in done.stdout + done.stderr


def test_program_is_an_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vagrant"
    program.write_text(f"#!/bin/sh\nexec cat {ANSWER}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBEFORGE_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    inventory = load(FOLDER)
    assert inventory.groups["kube_control_plane"] == ("cp1",)
    assert inventory.groups["kube_node"] == ("w1", "w2")
    host = inventory.hosts["w1"]
    assert (host.connection.address, host.connection.port, host.address) == ("127.0.0.1", 2200, "192.168.56.21")
    assert host.connection.become
