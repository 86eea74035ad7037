"""This machine as a host: streams, deadlines, ends."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.errors import BecomeFailed, ConnectionFailed, DeadlineExceeded
from kubeforge.transport.local import LocalTransport

LOCAL = LocalTransport("here")


def run(command: str, *stdin: bytes, deadline: float = 20) -> tuple[int, bytes, bytes]:
    done = LOCAL.run(command, stdin, deadline=deadline)
    return done.status, done.stdout, done.stderr


def test_streams_and_status() -> None:
    assert run("cat; echo err >&2; exit 3", b"a\0", b"", b"b") == (3, b"a\0b", b"err\n")
    assert run("kill -9 $$")[0] == 137
    assert run("true")[0] == 0


def test_much_in_and_out_at_once() -> None:
    """Neither side waits for the other: 30 MB go through `cat` in memory that does not hold them twice."""
    chunk = bytes(range(256)) * 1024

    def chunks() -> Iterator[bytes]:
        for _ in range(120):
            yield chunk

    done = LOCAL.run("tee /dev/stderr", chunks(), deadline=60)
    assert done.stdout == done.stderr == chunk * 120


def test_input_is_streamed() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = LOCAL.run("wc -c", (bytes(1 << 20) for _ in range(200)), deadline=60)
    assert int(done.stdout) == 200 << 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50 * 1024, "KiB"


def test_nobody_reads_the_input() -> None:
    assert run("exit 5", *([bytes(100_000)] * 50))[0] == 5


def test_deadline_ends_it_and_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="within 0 s"):
        run(f"sleep 30 & echo $! > {tmp_path}/pid; wait", deadline=0.4)
    assert time.monotonic() - began < 5
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_daemon_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    status, out, _ = run(f"sleep 30 & echo $! > {tmp_path}/pid; echo done")
    assert (status, out) == (0, b"done\n")
    assert time.monotonic() - began < 5
    os.kill(int((tmp_path / "pid").read_text()), 15)


def test_input_that_fails_midway_is_a_broken_connection(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        LOCAL.run(f"cat > {tmp_path}/got; echo ended >> {tmp_path}/got", broken(), deadline=10)
    assert (tmp_path / "got").read_bytes() == b"halfended\n"


def test_becoming_root_that_cannot_be() -> None:
    with pytest.raises(BecomeFailed, match="/no/sudo could not be started"):
        LocalTransport("here", prefix=("/no/sudo", "-n")).run("true", deadline=5)


def test_tunnels() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stream = LOCAL.open_tunnel("127.0.0.1", port)
        accepted, _ = server.accept()
        with accepted:
            stream.sendall(b"x")
            assert accepted.recv(1) == b"x"
            stream.close()
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port}"):
        LOCAL.open_tunnel("127.0.0.1", port)
