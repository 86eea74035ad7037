"""The shell that ends a member and the API server beside it, and nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.inventory.model import Connection, Host
from kubeforge.spec.model import ClusterSpec
from kubeforge.tasks import etcd_runs
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.remote import ShellRemote

CP1 = Host(name="kubeforge-test-cp1", connection=Connection(address="192.0.2.11"))
SPEC = ClusterSpec(name="demo", kubernetes="1.36.3")


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes by the names of etcd and API servers: shells that wait, and let themselves be ended."""
    lines = {
        "mine": ("etcd", f"--name={CP1.name}"),
        "another's": ("etcd", f"--name={CP1.name}0"),
        "server": ("kube-apiserver", "--advertise-address=192.0.2.11"),
        "another server": ("kube-apiserver", "--advertise-address=192.0.2.111"),
        "manager": ("kube-controller-manager", "--kubeconfig=/nowhere/kubeforge-test-manager.conf"),
        "scheduler": ("kube-scheduler", "--kubeconfig=/nowhere/kubeforge-test-scheduler.conf"),
    }
    made = {}
    try:
        for key, (name, argument) in lines.items():
            program = tmp_path / name
            if not program.exists():
                program.symlink_to("/bin/sh")
            script = "echo ready; read -r line"
            process = subprocess.Popen(
                [str(program), "-c", script, name, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            made[key] = process
        yield made
    finally:
        for process in made.values():
            process.kill()
            process.communicate()


def test_who_is_ended(programs: dict[str, subprocess.Popen[bytes]]) -> None:
    remote = ShellRemote(LocalTransport("here"))
    assert etcd_runs.still_runs(remote, CP1) == "it still runs"
    etcd_runs.end(remote, SPEC, CP1)
    assert programs["mine"].wait(10) != 0
    assert programs["server"].wait(10) != 0
    assert etcd_runs.still_runs(remote, CP1) is None
    assert programs["another's"].poll() is None
    assert programs["another server"].poll() is None


def test_a_service_is_ended_by_systemd_alone(programs: dict[str, subprocess.Popen[bytes]]) -> None:
    apart = SPEC.model_copy(update={"etcd": SPEC.etcd.model_copy(update={"topology": "external"})})
    etcd_runs.end(ShellRemote(LocalTransport("here")), apart, CP1)
    assert all(process.poll() is None for process in programs.values())


def test_an_api_server_whose_etcd_has_gone_is_ended_once(
    programs: dict[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bereft = etcd_runs.Bereft(ShellRemote(LocalTransport("here")), SPEC, CP1)
    monkeypatch.setattr(etcd_runs, "_ABSENT", 0.0)
    assert bereft.seen("it does not answer") == "it does not answer"
    assert programs["server"].poll() is None, "its etcd runs"
    programs["mine"].kill()
    programs["mine"].wait(10)
    assert bereft.seen(None) is None
    assert programs["server"].poll() is None, "nothing is lacking"
    monkeypatch.setattr(etcd_runs, "_ABSENT", 60.0)
    bereft.seen("it does not answer")
    assert not bereft.done, "it may be about to start"
    monkeypatch.setattr(etcd_runs, "_ABSENT", 0.0)
    bereft.seen("it does not answer")
    assert programs["server"].wait(10) != 0
    assert programs["another server"].poll() is None
    assert programs["another's"].poll() is None


def test_a_whole_control_plane_is_ended(
    programs: dict[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By flags of this test's own: real controllers of clusters on this machine have the real ones."""
    signs = (("kube-controller", "manager"), ("kube-scheduler", "scheduler"))
    ours = tuple((name, f"--kubeconfig=/nowhere/kubeforge-test-{which}.conf") for name, which in signs)
    monkeypatch.setattr(etcd_runs, "_CONTROLLERS", ours)
    remote = ShellRemote(LocalTransport("here"))
    assert etcd_runs.control_plane_runs(remote, CP1) == "kube-apiserver, kube-controller, kube-scheduler still run"
    etcd_runs.end_control_plane(remote, CP1)
    for name in ("server", "manager", "scheduler"):
        assert programs[name].wait(10) != 0
    assert etcd_runs.control_plane_runs(remote, CP1) is None
    assert programs["mine"].poll() is None
    assert programs["another server"].poll() is None
