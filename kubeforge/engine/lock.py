"""One run at a time per cluster: a flock on the first reachable control plane, held by the connection itself.

A process there holds the lock as long as it hears from us: a byte every few seconds. When the connection ends it ends
at once; when this machine dies without a word it ends after `SILENCE`. So the lock cannot outlive its holder, and
nobody ever has to remove one by hand. A holder whose host reboots takes it again there, and nothing begins meanwhile;
where somebody else was faster, the run ends.
"""

from __future__ import annotations

import getpass
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from kubeforge.errors import ConnectionFailed, ConnectionLost, KubeforgeError, Locked, ProtocolError
from kubeforge.operations.shell import quote
from kubeforge.spec import paths
from kubeforge.transport.base import ByteSocket

__all__ = ["SILENCE", "RunLock", "held", "holder_script"]

SILENCE = 45
"""Seconds without a byte after which the host gives the lock up."""

PATIENCE = 3
"""Seconds to wait for the lock: a run that was left a moment ago holds it until its host's sshd has noticed."""

HEARTBEAT = 10.0
REGAIN_WITHIN = paths.REBOOT_DEADLINE
"""Seconds to take a lost lock again: a reboot, and longer than our own process there may go on holding it."""

REGAIN_PAUSE = 1.0
ANSWER_WITHIN = 20.0
ENDS_WITHIN = 1.0
"""Seconds to wait for our own thread in the end; where it is about to take a lost lock again, it ends by itself."""

REPLY_LIMIT = 4096

OpenStream = Callable[[str, str], ByteSocket]
"""(host, POSIX-sh command line) -> its standard input and output."""


def holder_script(who: str, path: str = paths.CLUSTER_LOCK) -> str:
    """Return the command that takes the lock, says so, and holds it while it hears dots.

    It removes the file while it holds the lock; whoever opened that file before must look whether the name still
    leads to it (`-ef`), as a lock on a removed file excludes nobody.
    """
    file = quote(path)
    return (
        f"umask 077; exec 9>>{file} || exit 1; "
        f"if flock -w {PATIENCE} 9 && [ {file} -ef /proc/$$/fd/9 ]; then "
        f"printf '%s\\n' {quote(who)} >{file}; echo held; "
        f'while [ "$(timeout {SILENCE} dd bs=1 count=1 2>/dev/null)" = . ]; do :; done; rm -f {file}; '
        f"else printf 'busy '; cat {file}; fi"
    )


def whoami(run_id: str) -> str:
    """Return who holds the lock, as another run will read it."""
    return f"{getpass.getuser()}@{socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S %z')}, run {run_id}"


@contextmanager
def held(
    hosts: Iterable[str],
    open_stream: OpenStream,
    *,
    run_id: str,
    lost: Callable[[KubeforgeError], None],
    said: Callable[[str, str], None] = lambda _host, _message: None,
    path: str = paths.CLUSTER_LOCK,
) -> Iterator[RunLock]:
    """Hold the cluster's lock on the first of `hosts` that can be reached.

    Args:
        hosts: control planes in inventory order.
        open_stream: starts a command on a host.
        run_id: told to whoever finds the lock taken.
        lost: called from another thread with the error when the lock is lost for good.
        said: called from another thread with host and message when it is lost, and when it is held again.
        path: the lock file.

    Yields:
        The lock.

    Raises:
        Locked: another run holds it.
        ConnectionFailed: none of the hosts can be reached.
    """
    who = whoami(run_id)
    host, stream = _take(hosts, open_stream, holder_script(who, path))
    lock = RunLock(host=host, who=who, path=path, open_stream=open_stream, lost=lost, said=said, stream=stream)
    beat = threading.Thread(target=lock.beat, name="kubeforge-lock", daemon=True)
    beat.start()
    try:
        yield lock
    finally:
        lock.release()
        beat.join(ENDS_WITHIN)


@dataclass(slots=True, kw_only=True)
class RunLock:
    """A run's lock, as long as it is held.

    Args:
        host: that holds it.
        who: what another run reads there.
        path: the lock file.
        open_stream: see `held`; so are `lost` and `said`.
        stream: to the process there.
    """

    host: str
    who: str
    path: str
    open_stream: OpenStream
    lost: Callable[[KubeforgeError], None]
    said: Callable[[str, str], None]
    stream: ByteSocket
    _done: threading.Event = field(default_factory=threading.Event)
    _certain: threading.Event = field(default_factory=threading.Event)
    """Clear while the lock is being taken again."""

    def __post_init__(self) -> None:
        self._certain.set()

    def wait(self, stop: threading.Event) -> None:
        """Return when it is certain that the lock is held, or that it is not any more; at once when `stop` is set."""
        while not (self._certain.is_set() or stop.is_set()):
            self._certain.wait(0.1)  # two things are waited for

    def release(self) -> None:
        """Give it up."""
        self._done.set()
        self.stream.close()

    def beat(self) -> None:
        """Say that we live until the lock is given up; take it again when its connection breaks before."""
        while not self._done.wait(HEARTBEAT):
            try:
                self.stream.sendall(b".")
            except (OSError, EOFError):
                if self._done.is_set() or not self._regained():
                    return
        with suppress(OSError, EOFError):
            self.stream.sendall(b"!")

    def _regained(self) -> bool:
        self._certain.clear()
        self.stream.close()
        self.said(self.host, "the run's lock went with its connection; nothing begins until it is held again")
        try:
            self._regain()
        except KubeforgeError as error:
            if not self._done.is_set():
                self.lost(error)
            return False
        finally:
            self._certain.set()
        if self._done.is_set():
            self.stream.close()
            return False
        self.said(self.host, "the run's lock is held again")
        return True

    def _regain(self) -> None:
        """Take the lock again on the host that held it: on another one it would exclude nobody who asks the first."""
        command = holder_script(self.who, self.path)
        end = time.monotonic() + REGAIN_WITHIN
        while not self._done.is_set():
            try:
                stream = self.open_stream(self.host, command)
                with _closed_on_error(stream):
                    answer = _first_line(self.host, stream)
                    if self._is_ours(answer):
                        self.stream = stream
                        return
                stream.close()
                why = "its process there does not end"
            except ConnectionFailed as error:
                why = error.cause
            if time.monotonic() > end:
                raise ConnectionLost(
                    f"the connection that holds the run's lock broke, and for {REGAIN_WITHIN:.0f} s it could not be"
                    f" taken again, so the run stopped after what ran: {why}",
                    host=self.host,
                    step="lock",
                    remedy="see that the host is up (did it reboot?), then run again",
                )
            self._done.wait(REGAIN_PAUSE)

    def _is_ours(self, answer: str) -> bool:
        """Return whether the lock is held again; False: ask once more.

        Raises:
            Locked: somebody else was faster.
            ProtocolError: the host cannot lock any more.
        """
        word, _, who = answer.partition(" ")
        # Our own process there goes on for `SILENCE` where the connection went without a word to it.
        if not word or (word == "busy" and who in ("", self.who)):
            return False
        if word == "busy":
            raise Locked(
                f"while the connection that held the lock was broken, another run took it: {who}",
                host=self.host,
                step="lock",
                remedy="this run stopped after what ran; wait until the other one has ended, then run again",
            )
        _accept(self.host, answer)
        return True


def _take(hosts: Iterable[str], open_stream: OpenStream, command: str) -> tuple[str, ByteSocket]:
    refused: KubeforgeError = ConnectionFailed("there is no host to hold the run's lock", step="lock")
    for host in hosts:
        try:
            stream = open_stream(host, command)
        except ConnectionFailed as error:
            refused = error
            continue
        with _closed_on_error(stream):
            _accept(host, _first_line(host, stream))
        return host, stream
    raise refused


@contextmanager
def _closed_on_error(stream: ByteSocket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stream.close()
        raise


def _first_line(host: str, stream: ByteSocket) -> str:
    answer = b""
    try:
        stream.settimeout(ANSWER_WITHIN)
        while not answer.endswith(b"\n") and len(answer) < REPLY_LIMIT:
            piece = stream.recv(REPLY_LIMIT)
            if not piece:
                break
            answer += piece
    except TimeoutError:
        pass  # what came so far is looked at below
    except OSError as error:
        raise ConnectionLost(f"the connection broke: {error}", host=host, step="lock", remedy="run again") from None
    return answer.decode("utf-8", "replace").strip()


def _accept(host: str, answer: str) -> None:
    """Raise unless the process there says that it holds the lock."""
    word, _, who = answer.partition(" ")
    if word == "held":
        return
    if word == "busy":
        raise Locked(
            f"another run works on this cluster: {who or 'it does not say whose'}",
            host=host,
            step="lock",
            remedy="wait until it has ended; the lock goes with its connection and never has to be removed",
        )
    raise ProtocolError(
        "the host does not take the run's lock",
        host=host,
        step="lock",
        evidence=answer.splitlines()[-5:],
        remedy="it needs flock (util-linux) and a writable /run",
    )
