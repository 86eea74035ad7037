"""This machine as a host: commands run as child processes, with a deadline."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from kubeforge.errors import BecomeFailed, ConnectionFailed, DeadlineExceeded
from kubeforge.transport.base import ByteSocket, Completed

__all__ = ["LocalTransport"]

_CHUNK = 256 * 1024
_TUNNEL_SECONDS = 10.0
_GRACE_SECONDS = 5.0


class LocalTransport:
    """Runs command lines with /bin/sh on this machine.

    Args:
        host: inventory name.
        prefix: put before the shell: `("sudo", "-n")` becomes root.
    """

    def __init__(self, host: str = "localhost", *, prefix: Sequence[str] = ()) -> None:
        self._host = host
        self._prefix = tuple(prefix)

    @property
    def host(self) -> str:
        """Inventory name."""
        return self._host

    def run(self, command: str, stdin: Iterable[bytes] = (), *, deadline: float) -> Completed:
        """Run one POSIX-sh command line; see `Transport.run`.

        The child leads a session of its own, so that Ctrl-C reaches kubeforge and not what runs on the host.
        """
        argv = [*self._prefix, "/bin/sh", "-c", command]
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            kind = BecomeFailed if self._prefix else ConnectionFailed
            raise kind(f"{argv[0]} could not be started: {error.strerror}", host=self._host) from error
        try:
            out, err = _converse(child, iter(stdin), time.monotonic() + deadline)
            status = child.wait()
        except TimeoutError:
            _end(child)
            raise DeadlineExceeded(
                f"a command did not end within {deadline:.0f} s", host=self._host, step=command[:80]
            ) from None
        except BaseException:
            _let_go(child)
            raise
        finally:
            _close(child)
        return Completed(status if status >= 0 else 128 - status, out, err)

    def open_stream(self, command: str) -> ByteSocket:
        """Start one command line; see `Transport.open_stream`. It ends by itself when its input does."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                child = subprocess.Popen(
                    [*self._prefix, "/bin/sh", "-c", command],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                )
            except OSError as error:
                ours.close()
                raise ConnectionFailed(f"it could not be started: {error.strerror}", host=self._host) from error
        threading.Thread(target=child.wait, name="kubeforge-reap", daemon=True).start()
        return ours

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Connect to `host:port` from this machine."""
        try:
            return socket.create_connection((host, port), timeout=_TUNNEL_SECONDS)
        except OSError as error:
            raise ConnectionFailed(f"no connection to {host}:{port}: {error}", host=self._host) from error

    def close(self) -> None:
        """Nothing is held open."""


def _close(child: subprocess.Popen[bytes]) -> None:
    """Close our ends of its streams."""
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and everything it started that is still in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Leave it alone, as a broken connection would: it sees the end of its input, and goes on with what it has."""
    _close(child)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_SECONDS)


def _converse(child: subprocess.Popen[bytes], stdin: Iterator[bytes], until: float) -> tuple[bytes, bytes]:
    """Write and read at once until the child has closed both streams or ended.

    A daemon that the command left behind may hold the streams open: the child's own end counts.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    collected: dict[IO[bytes], bytearray] = {child.stdout: bytearray(), child.stderr: bytearray()}
    pending = memoryview(b"")
    with selectors.DefaultSelector() as selector:
        for stream in (child.stdin, child.stdout, child.stderr):
            os.set_blocking(stream.fileno(), False)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stderr, selectors.EVENT_READ)
        while selector.get_map():
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ready = selector.select(min(left, 0.5))
            if not ready and child.poll() is not None:
                break
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    left_over = _feed(child.stdin, pending, stdin)
                    pending = left_over or memoryview(b"")
                    if left_over is None:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                elif not _drain(key.fd, collected[key.fileobj]):  # type: ignore[index]  # only ours are registered
                    selector.unregister(key.fileobj)
    return bytes(collected[child.stdout]), bytes(collected[child.stderr])


def _feed(pipe: IO[bytes], pending: memoryview, stdin: Iterator[bytes]) -> memoryview | None:
    """Write a piece; return what is left of it, None when all is written or nobody reads any more."""
    while not pending:
        chunk = next(stdin, None)
        if chunk is None:
            return None
        pending = memoryview(chunk)
    try:
        return pending[os.write(pipe.fileno(), pending[:_CHUNK]) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        return None


def _drain(descriptor: int, into: bytearray) -> bool:
    """Read a piece; False at the stream's end."""
    try:
        data = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return True
    into += data
    return bool(data)
