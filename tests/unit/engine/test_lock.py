"""The cluster's lock: the real script on this machine, over the local transport's streams."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from kubeforge.engine import lock
from kubeforge.engine.lock import RunLock, held, holder_script
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
    with held(["cp1"], open_here, run_id="first-run", lost=never, path=str(path)) as mine:
        assert mine.host == "cp1"
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
    with held(["cp1", "cp2"], open_stream, run_id="r", lost=never, path=path) as mine:
        assert mine.host == "cp2"
    with pytest.raises(ConnectionFailed, match="no route"), held(["cp1"], open_stream, run_id="r", lost=never):
        pass


def test_a_host_that_cannot_lock_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere" / "lock")
    with pytest.raises(ProtocolError), held(["cp1"], open_here, run_id="r", lost=never, path=path):
        pass


class Host:
    """A host whose answers to being asked for the lock are given, one after the other; at last it is away."""

    def __init__(self, *answers: str | Callable[[], ByteSocket]) -> None:
        self.answers = list(answers)
        self.ends: list[socket.socket] = []
        self.asked: list[str] = []
        self.commands: list[str] = []
        self.lost: list[KubeforgeError] = []
        self.said: list[str] = []

    def open_stream(self, host: str, command: str) -> ByteSocket:
        self.asked.append(host)
        self.commands.append(command)
        if not self.answers:
            raise ConnectionFailed("no route to host", host=host)
        answer = self.answers.pop(0)
        if not isinstance(answer, str):
            return answer()
        ours, theirs = socket.socketpair()
        theirs.sendall(answer.encode())
        self.ends.append(theirs)
        return ours

    @contextmanager
    def held(self, path: str = "/run/lock") -> Iterator[RunLock]:
        def said(host: str, message: str) -> None:
            self.said.append(f"{host}: {message}")

        hosts = ["cp1", "cp2"]
        with held(hosts, self.open_stream, run_id="r", lost=self.lost.append, said=said, path=path) as mine:
            yield mine
        for end in self.ends:
            end.close()

    def reboot(self) -> None:
        self.ends.pop(0).close()

    def own(self) -> ByteSocket:
        """Our own process there still holds it."""
        ours, theirs = socket.socketpair()
        (who,) = re.findall(r"printf '%s\\n' '([^']*)'", self.commands[0])
        theirs.sendall(f"busy {who}\n".encode())
        self.ends.append(theirs)
        return ours


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.02)
    monkeypatch.setattr(lock, "REGAIN_PAUSE", 0.02)


AGAIN = "cp1: the run's lock is held again"


@pytest.mark.usefixtures("quick")
class TestTakenAgain:
    def test_after_a_reboot(self, tmp_path: Path) -> None:
        """Its file in /run went with the reboot; the process that holds it anew is a real one."""
        path = tmp_path / "lock"
        host = Host("held\n", lambda: open_here("cp1", host.commands[0]))
        with host.held(str(path)) as mine:
            host.reboot()
            wait_until(lambda: AGAIN in host.said)
            assert not is_free(path)
            assert mine.host == "cp1"
            assert len(host.said) == 2
            assert "nothing begins until it is held again" in host.said[0]
        wait_until(lambda: not path.exists())
        assert host.lost == []

    def test_as_often_as_it_goes(self) -> None:
        host = Host("held\n", "held\n", "held\n")
        with host.held():
            for times in (1, 2):
                host.reboot()
                wait_until(partial(lambda wanted: host.said.count(AGAIN) == wanted, times))
        assert host.lost == []

    def test_somebody_else_was_faster(self) -> None:
        host = Host("held\n", "busy somebody@elsewhere, run x\n")
        with host.held():
            host.reboot()
            wait_until(lambda: bool(host.lost))
        (error,) = host.lost
        assert isinstance(error, Locked)
        assert "another run took it: somebody@elsewhere, run x" in error.cause
        assert (error.host, error.step, error.exit_code) == ("cp1", "lock", 18)

    def test_our_own_process_there_is_waited_for(self) -> None:
        """The connection went without a word to it: it holds the lock until it has heard nothing for a while."""
        host = Host("held\n", "busy\n", "", "held\n")
        host.answers[1:1] = [host.own, host.own]
        with host.held():
            host.reboot()
            wait_until(lambda: len(host.ends) == 4)
            host.ends[-1].close()  # a stream that ends without an answer
            wait_until(lambda: AGAIN in host.said)
        assert host.lost == []

    def test_a_host_that_does_not_come_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No other host is asked: who comes next asks the first one, where nobody would hold it."""
        monkeypatch.setattr(lock, "REGAIN_WITHIN", 0.1)
        host = Host("held\n")
        with host.held():
            host.reboot()
            wait_until(lambda: bool(host.lost))
        (error,) = host.lost
        assert isinstance(error, ConnectionLost)
        assert "no route to host" in error.cause
        assert (error.host, error.step) == ("cp1", "lock")
        assert set(host.asked) == {"cp1"}

    def test_a_run_that_ends_meanwhile_has_lost_nothing(self) -> None:
        host = Host("held\n")
        with host.held():
            host.reboot()
            wait_until(lambda: len(host.asked) > 2)
        assert host.lost == []

    def test_nothing_begins_meanwhile(self) -> None:
        stop = threading.Event()
        host = Host("held\n")
        with host.held() as mine:
            mine.wait(stop)
            host.reboot()
            wait_until(lambda: len(host.asked) > 2)
            waiting = threading.Thread(target=mine.wait, args=(stop,))
            waiting.start()
            waiting.join(0.2)
            assert waiting.is_alive()
            host.answers.append("held\n")
            waiting.join(WAIT)
            assert not waiting.is_alive()
            host.reboot()
            wait_until(lambda: host.said[-1] != AGAIN)
            stop.set()
            mine.wait(stop)
