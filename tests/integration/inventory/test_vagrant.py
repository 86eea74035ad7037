"""The Vagrantfile is one that Vagrant takes (Debian's package), and its inventory loads like any other.

There is no hypervisor: Vagrant's own core prints `ssh-config` about machines of a provider that says they run
(vagrant_provider.rb).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "inventory/vagrant"
PROVIDER = Path(__file__).parent / "vagrant_provider.rb"
Vagrant = Callable[..., subprocess.CompletedProcess[str]]
ANSWER = ROOT / "tests/unit/inventory/vagrant/ssh-config-virtualbox.txt"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with our table and Vagrantfile.

    On a machine of one's own Vagrant may be missing, in CI it may not.
    """
    if shutil.which("vagrant") is None:
        told = "there is no vagrant: CI=true scripts/system-packages installs Debian's"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    copy = tmp_path / "my lab"  # Vagrant writes beside its file
    shutil.copytree(FOLDER, copy / "inventory/vagrant")
    shutil.copy(ROOT / "Vagrantfile", copy)
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAGRANT_CHECKPOINT_DISABLE", "1")
    return copy


@pytest.fixture
def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and the machines run."""
    (folder / "Vagrantfile").write_text(PROVIDER.read_text() + (ROOT / "Vagrantfile").read_text())
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "pretended")
    monkeypatch.setenv("KUBEFORGE_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


@pytest.fixture
def vagrant(folder: Path) -> Vagrant:
    """Return a function that runs Vagrant there."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["vagrant", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)

    return run


def test_vagrantfile_is_valid(vagrant: Vagrant) -> None:
    done = vagrant("validate", "--ignore-provider")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_vagrantfile_is_refused(folder: Path, vagrant: Vagrant) -> None:
    """So `vagrant validate` does look at the machines that the table makes."""
    (folder / "Vagrantfile").write_text((ROOT / "Vagrantfile").read_text().replace("vm.hostname", "vm.hostnome"))
    done = vagrant("validate", "--ignore-provider")
    assert done.returncode != 0
    assert "hostnome" in done.stdout + done.stderr


def test_inventory_of_what_vagrant_prints(running: Path, vagrant: Vagrant) -> None:
    """A forwarded port and a key that Vagrant made; an address, two keys and a user that the provider names."""
    keys = {name: running / f".vagrant/machines/{name}/pretended" for name in ("cp1", "w1")}
    keys["cp1"].mkdir(parents=True)
    made = keys["cp1"] / "private_key"
    made.touch(mode=0o600)
    printed = vagrant("ssh-config", "cp1")
    assert printed.returncode == 0, printed.stderr
    assert f'  IdentityFile "{made}"\n' in printed.stdout
    inventory = load(running / "inventory/vagrant")
    assert (inventory.groups["kube_control_plane"], inventory.groups["kube_node"]) == (("cp1",), ("w1", "w2"))
    found = {name: host.connection for name, host in inventory.hosts.items()}
    assert [(one.address, one.port, one.user) for one in found.values()] == [
        ("127.0.0.1", 2222, "vagrant"),
        ("192.168.121.17", 22, "ops"),
        ("192.168.121.17", 22, "ops"),
    ]
    assert [found[name].key_file for name in keys] == [made, keys["w1"] / "first_key"]
    assert [host.address for host in inventory.hosts.values()] == ["192.168.56.11", "192.168.56.21", "192.168.56.22"]


def test_a_machine_that_does_not_run(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_HALTED", "w2")
    with pytest.raises(InputError) as told:
        load(running / "inventory/vagrant")
    assert "vagrant up" in str(told.value)


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
