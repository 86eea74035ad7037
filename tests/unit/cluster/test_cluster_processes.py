from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeforge.cluster.processes import lacks_command, lacks_kubelet, processes
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


SCRIPT = "import sys\n\nprint(flush=True)\nsys.stdin.read()"


@contextmanager
def started(*words: str) -> Iterator[tuple[str, ...]]:
    """Run Python with an argument of several lines and more; give how its command shall be told."""
    argv = [sys.executable, "-c", SCRIPT, *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # the kernel names a process a moment after Popen takes it for started
        try:
            yield (sys.executable, "-c", SCRIPT.replace("\n", " "), *words)
        finally:
            child.communicate()


@pytest.mark.parametrize("words", [(), ("",), ("--flag=a b", "", "z")])
def test_arguments_of_several_lines_and_empty_ones(words: tuple[str, ...]) -> None:
    remote, name = ShellRemote(LocalTransport("here")), Path(sys.executable).name
    with started(*words) as command:
        assert lacks_command(remote, [name, *command[1:]]) == f"{name} still runs with other arguments", (
            "called by path"
        )
        assert command in [one.command for one in processes(remote, name)]
        assert lacks_command(remote, command) == f"{command[0]} does not run", "a name has no folders"


CLOCKS = "1000.00 1700000000.000000000 100\n"
"""Up for 1000 s; then the times of files; a process that was started after 990 s is 10 s old."""


def answering(lines: str, *files: str) -> MemoryHost:
    script = sys.modules["kubeforge.cluster.processes"]._COMMAND_LINES
    return MemoryHost("cp1", commands={("sh", "-c", script, "sh", "etcd", *files): Completed(0, lines.encode())})


@pytest.mark.parametrize(
    ("lines", "lacks"),
    [
        ("99000\n=etcd\n=--name=a\n\n", None),
        ("", "etcd does not run"),
        ("=etcd\n=--name=a\n\n", "etcd does not run"),
        ("99000\n=etcd\n=--name=b\n\n", "etcd still runs with other arguments"),
        ("99000\n=etcd\n=--name=b\n\n99000\n=etcd\n=--name=a\n\n", None),
    ],
)
def test_commands(lines: str, lacks: str | None) -> None:
    assert lacks_command(answering(f"{CLOCKS}\n{lines}"), ["etcd", "--name=a"]) == lacks


@pytest.mark.parametrize(
    ("times", "lacks"),
    [
        ("1699999989.5\n", None),
        ("1699999990.5\n", "etcd still runs as it did before the change"),
        ("1699999980.5\n1699999999.9\n", "etcd still runs as it did before the change"),
        ("", None),
    ],
)
def test_what_was_written_after_the_start_is_not_in_use(times: str, lacks: str | None) -> None:
    host = answering(f"{CLOCKS}{times}\n99000\n=etcd\n=--name=a\n\n", "/m", "/c")
    assert lacks_command(host, ["etcd", "--name=a"], files=("/m", "/c")) == lacks


def test_a_real_process_is_older_than_what_is_written_now(tmp_path: Path) -> None:
    remote = ShellRemote(LocalTransport("here"))
    name = Path("/proc/self/comm").read_text().strip()
    assert any(one.fresh for one in processes(remote, name))
    (tmp_path / "file").write_text("new")
    mine = [Path("/proc/self/cmdline").read_bytes().decode().split("\0")[1:-1]]
    told = [one for one in processes(remote, name, files=[str(tmp_path / "file")]) if list(one.command[1:]) in mine]
    assert told
    assert not any(one.fresh for one in told)
    missing = processes(remote, name, files=[str(tmp_path / "missing")])
    assert any(one.fresh for one in missing)


def test_a_kubelet_without_a_health_port_is_not_asked() -> None:
    assert lacks_kubelet(MemoryHost("w1"), 0) is None
    assert "not healthy" in str(lacks_kubelet(MemoryHost("w1"), 10248))
