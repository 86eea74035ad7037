from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kubeforge.cluster.processes import lacks_command, lacks_kubelet
from kubeforge.transport.base import Completed
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.memory import MemoryHost
from kubeforge.transport.remote import ShellRemote


def test_this_very_process_is_found() -> None:
    remote = ShellRemote(LocalTransport("here"))
    running = Path("/proc/self/cmdline").read_bytes().decode().split("\0")[:-1]
    name = Path("/proc/self/comm").read_text().strip()
    told = lacks_command(remote, [name, *running[1:]])
    assert told is None or "other arguments" in told, "other processes of that name may run"
    assert "still runs with other" in str(lacks_command(remote, [name, "--surely-not"]))
    assert lacks_command(remote, ["no-such-program"]) == "no-such-program does not run"


@pytest.mark.parametrize(
    ("lines", "lacks"),
    [
        ("etcd\n--name=a\n\n", None),
        ("", "etcd does not run"),
        ("etcd\n--name=b\n\n", "etcd still runs with other arguments"),
        ("etcd\n--name=b\n\netcd\n--name=a\n\n", None),
    ],
)
def test_commands(lines: str, lacks: str | None) -> None:
    host = MemoryHost("cp1")
    script = sys.modules["kubeforge.cluster.processes"]._COMMAND_LINES
    host = MemoryHost("cp1", commands={("sh", "-c", script, "sh", "etcd"): Completed(0, lines.encode())})
    assert lacks_command(host, ["etcd", "--name=a"]) == lacks


def test_a_kubelet_without_a_health_port_is_not_asked() -> None:
    assert lacks_kubelet(MemoryHost("w1"), 0) is None
    assert "not healthy" in str(lacks_kubelet(MemoryHost("w1"), 10248))
