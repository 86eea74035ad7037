"""One run at a time per cluster: a flock on the first reachable control plane, held by the connection itself.

A process there holds the lock as long as it hears from us: a byte every few seconds. When the connection ends it ends
at once; when this machine dies without a word it ends after `SILENCE`. So the lock cannot outlive its holder, and
nobody ever has to remove one by hand.
"""

from __future__ import annotations

import getpass
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from kubeforge.errors import ConnectionFailed, ConnectionLost, KubeforgeError, Locked, ProtocolError
from kubeforge.operations.shell import quote
from kubeforge.spec import paths
from kubeforge.transport.base import ByteSocket

__all__ = ["SILENCE", "held", "holder_script"]

SILENCE = 45
"""Seconds without a byte after which the host gives the lock up."""

HEARTBEAT = 10.0
ANSWER_WITHIN = 20.0
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
        f"if flock -n 9 && [ {file} -ef /proc/$$/fd/9 ]; then "
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
    path: str = paths.CLUSTER_LOCK,
) -> Iterator[str]:
    """Hold the cluster's lock on the first of `hosts` that can be reached.

    Args:
        hosts: control planes in inventory order.
        open_stream: starts a command on a host.
        run_id: told to whoever finds the lock taken.
        lost: called from another thread with the error when the lock's connection breaks.
        path: the lock file.

    Yields:
        The host that holds it.

    Raises:
        Locked: another run holds it.
        ConnectionFailed: none of the hosts can be reached.
    """
    host, stream = _take(hosts, open_stream, holder_script(whoami(run_id), path))
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(host, stream, done, lost), name="kubeforge-lock", daemon=True)
    beat.start()
    try:
        yield host
    finally:
        done.set()
        stream.close()
        beat.join(HEARTBEAT)


def _take(hosts: Iterable[str], open_stream: OpenStream, command: str) -> tuple[str, ByteSocket]:
    refused: KubeforgeError = ConnectionFailed("there is no host to hold the run's lock", step="lock")
    for host in hosts:
        try:
            stream = open_stream(host, command)
        except ConnectionFailed as error:
            refused = error
            continue
        try:
            _check(host, _first_line(host, stream))
        except BaseException:
            stream.close()
            raise
        return host, stream
    raise refused


def _first_line(host: str, stream: ByteSocket) -> str:
    stream.settimeout(ANSWER_WITHIN)
    answer = b""
    try:
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


def _check(host: str, answer: str) -> None:
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


def _beat(host: str, stream: ByteSocket, done: threading.Event, lost: Callable[[KubeforgeError], None]) -> None:
    """Say that we live until told that we are done; tell when the connection breaks before."""
    while not done.wait(HEARTBEAT):
        try:
            stream.sendall(b".")
        except (OSError, EOFError):
            if not done.is_set():
                lost(
                    ConnectionLost(
                        "the connection that holds the run's lock broke, so the run stopped after what ran",
                        host=host,
                        step="lock",
                        remedy="see that the host is up (did it reboot?), then run again",
                    )
                )
            return
    with suppress(OSError, EOFError):
        stream.sendall(b"!")
