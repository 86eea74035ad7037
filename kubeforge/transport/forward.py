"""A port on this machine that leads to a port behind a host, for programs that know nothing of SSH (kubectl).

Own, not fabric's `forward_local`: that one must be told a free port, looks for callers every 10 ms, moves 1 KiB at a
time, and ends for good when one tunnel is refused (docs/adr/0027).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubeforge.errors import KubeforgeError
from kubeforge.transport.base import ByteSocket, Transport

__all__ = ["forward_local"]

_CHUNK = 1 << 17
_JOIN_SECONDS = 5.0


@contextmanager
def forward_local(
    transport: Transport,
    remote_host: str,
    remote_port: int,
    *,
    on_error: Callable[[KubeforgeError], None] | None = None,
) -> Iterator[int]:
    """Listen on 127.0.0.1 and carry every connection to `remote_host:remote_port`, as the transport's host sees it.

    Args:
        transport: stays open meanwhile.
        remote_host: name or address.
        remote_port: TCP port.
        on_error: told when a tunnel cannot be opened; that caller's connection is closed, the others go on.

    Yields:
        The local port.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        forwarder = _Forwarder(listener, lambda: transport.open_tunnel(remote_host, remote_port), on_error)
        thread = threading.Thread(target=forwarder.serve, name=f"forward {transport.host}", daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            forwarder.stop()
            thread.join(_JOIN_SECONDS)


class _Forwarder:
    def __init__(
        self,
        listener: socket.socket,
        dial: Callable[[], ByteSocket],
        on_error: Callable[[KubeforgeError], None] | None,
    ) -> None:
        self._listener = listener
        self._dial = dial
        self._on_error = on_error
        self._open: set[ByteSocket] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._carriers: list[threading.Thread] = []

    def serve(self) -> None:
        """Accept until the listener is shut down."""
        while not self._stopped:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            carrier = threading.Thread(target=self._carry, args=(caller,), daemon=True)
            self._carriers = [one for one in self._carriers if one.is_alive()] + [carrier]
            carrier.start()

    def stop(self) -> None:
        """Close the listener and every connection."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            _hang_up(stream)
        # a thread that the interpreter's end overtakes would print a traceback
        for carrier in self._carriers:
            carrier.join(_JOIN_SECONDS)

    def _carry(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the caller may have left already
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            tunnel = self._dial()
        except KubeforgeError as error:
            if self._on_error is not None:
                self._on_error(error)
            caller.close()
            return
        tunnel.settimeout(None)
        with self._lock:
            self._open |= {caller, tunnel}
        back = threading.Thread(target=_pump, args=(tunnel, caller), daemon=True)
        back.start()
        if self._stopped:
            _hang_up(caller)
        _pump(caller, tunnel)
        back.join()
        with self._lock:
            self._open -= {caller, tunnel}
        for stream in (caller, tunnel):
            stream.close()


def _pump(source: ByteSocket, target: ByteSocket) -> None:
    """Copy until the source ends, then tell the target so; when the target is gone, stop the source."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except (OSError, EOFError):
        _hang_up(source)
    _shut(target, socket.SHUT_WR)


def _hang_up(stream: ByteSocket) -> None:
    _shut(stream, socket.SHUT_RDWR)


def _shut(stream: ByteSocket, how: int) -> None:
    """Shut down one or both ways: sockets and paramiko's channels both can, whatever else may be a ByteSocket."""
    shutdown = getattr(stream, "shutdown", None)
    with contextlib.suppress(OSError, EOFError):
        if shutdown is not None:
            shutdown(how)
        else:
            stream.close()
