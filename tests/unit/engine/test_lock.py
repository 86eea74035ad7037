"""The cluster's lock: the real script on this machine, over the local transport's streams."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.engine import lock
from kubeforge.engine.lock import held, holder_script
from kubeforge.errors import ConnectionFailed, ConnectionLost, KubeforgeError, Locked, ProtocolError
from kubeforge.transport.base import ByteSocket
from kubeforge.transport.local import LocalTransport

WAIT = 10.0


def open_here(_host: str, command: str) -> ByteSocket:
    return LocalTransport().open_stream(command)


def never(error: KubeforgeError) -> None:
    raise AssertionError("the lock was lost") from error


def is_free(path: Path) -> bool:
    return subprocess.run(["flock", "-n", "-E", "9", path, "true"], check=False).returncode == 0


def wait_until(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(int(WAIT / 0.02)):
        if condition():
            return
        waited.wait(0.02)
    raise AssertionError("it did not come true")


def test_a_second_run_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a lock"
    with held(["cp1"], open_here, run_id="first-run", lost=never, path=str(path)) as host:
        assert host == "cp1"
        assert not is_free(path)
        with (
            pytest.raises(Locked) as caught,
            held(["cp1"], open_here, run_id="second-run", lost=never, path=str(path)),
        ):
            pass
        assert "run first-run" in caught.value.cause
        assert socket.gethostname() in caught.value.cause
    wait_until(lambda: not path.exists())
    with held(["cp1"], open_here, run_id="third-run", lost=never, path=str(path)):
        assert "third-run" in path.read_text()


def test_it_ends_with_its_connection(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    stream = open_here("", holder_script("me", str(path)))
    assert stream.recv(100) == b"held\n"
    assert not is_free(path)
    stream.close()
    wait_until(lambda: not path.exists())


def test_it_ends_when_nothing_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = holder_script("me", str(path)).replace(f"timeout {lock.SILENCE}", "timeout 0.3")
    stream = open_here("", script)
    assert stream.recv(100) == b"held\n"
    wait_until(lambda: not path.exists())
    stream.close()


def test_a_lock_on_a_removed_file_counts_for_nothing(tmp_path: Path) -> None:
    """Whoever opened the file before the holder removed it would lock a file that nobody else sees."""
    path = tmp_path / "lock"
    script = holder_script("me", str(path)).replace("if flock", f"rm -f '{path}'; if flock")
    stream = open_here("", script)
    assert stream.recv(100).startswith(b"busy")
    stream.close()


def test_the_next_control_plane_holds_it_when_the_first_is_away(tmp_path: Path) -> None:
    def open_stream(host: str, command: str) -> ByteSocket:
        if host == "cp1":
            raise ConnectionFailed("no route to host", host=host)
        return open_here(host, command)

    path = str(tmp_path / "lock")
    with held(["cp1", "cp2"], open_stream, run_id="r", lost=never, path=path) as host:
        assert host == "cp2"
    with pytest.raises(ConnectionFailed, match="no route"), held(["cp1"], open_stream, run_id="r", lost=never):
        pass


def test_a_host_that_cannot_lock_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere" / "lock")
    with pytest.raises(ProtocolError), held(["cp1"], open_here, run_id="r", lost=never, path=path):
        pass


def test_a_broken_connection_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.02)
    ours, theirs = socket.socketpair()
    theirs.sendall(b"held\n")
    lost: list[KubeforgeError] = []
    with held(["cp1"], lambda _host, _command: ours, run_id="r", lost=lost.append):
        theirs.close()
        wait_until(lambda: bool(lost))
    assert isinstance(lost[0], ConnectionLost)
    assert (lost[0].host, lost[0].step) == ("cp1", "lock")
