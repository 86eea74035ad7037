"""The tables of flags and gates are what the real binaries say; and what a table refuses, a binary refuses too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.manifests import control_plane, etcd
from kubeforge.spec.component_flags import known
from tests.conftest import make_sample

SCRIPT = Path(__file__).parents[3] / "scripts/component-flags"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "etcd")


def test_tables_are_the_binaries_own(program: Callable[[str], Path]) -> None:
    folder = {program(name).parent for name in PROGRAMS}.pop()
    done = subprocess.run([sys.executable, SCRIPT, folder, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("component", "name"),
    [("api_server", "kube-apiserver"), ("kubelet", "kubelet"), ("kube_proxy", "kube-proxy"), ("etcd", "etcd")],
)
def test_what_a_table_lacks_the_binary_refuses(
    program: Callable[[str], Path], version: str, component: str, name: str
) -> None:
    table = known(component, version)
    assert table is not None
    flag = "no-such-flag"
    assert flag not in table.flags
    done = subprocess.run([program(name), f"--{flag}=1", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert flag in done.stdout + done.stderr


def test_the_binaries_take_what_kubeforge_gives_them(program: Callable[[str], Path], version: str) -> None:
    """Asked as on a living cluster: all arguments, and `--version`."""
    cluster = make_sample(version)
    spec, inventory, host, images = cluster.spec, cluster.inventory, cluster.first, cluster.images
    for pod in (
        control_plane.api_server(spec, inventory, host, images),
        control_plane.controller_manager(spec, images),
        control_plane.scheduler(spec, images),
        etcd.settled(spec, host, images),
    ):
        name, *arguments = pod["spec"]["containers"][0]["command"]
        done = subprocess.run([program(name), *arguments, "--version"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert version in done.stdout or name == "etcd"
