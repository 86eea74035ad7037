"""A TCP proxy that is half a round trip away: for kernels without netem.

The first bytes come through after the handshake's own time, as a far host would answer; nothing is lost or reordered,
and bandwidth is not limited.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def delayed(target: tuple[str, int], port: int, round_trip: float) -> Iterator[None]:
    """Carry connections to 127.0.0.1:`port` to `target`, each way half of `round_trip` seconds late."""
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_carry, args=(caller, target, round_trip), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


Line = queue.SimpleQueue[tuple[float, bytes]]


def _carry(caller: socket.socket, target: tuple[str, int], round_trip: float) -> None:
    """The caller's connect took no time here; over the line it ends the server's accept 1.5 round trips later."""
    accepted = time.monotonic() + 1.5 * round_trip
    there: Line = queue.SimpleQueue()
    back: Line = queue.SimpleQueue()
    _start(_read, caller, there, round_trip / 2, accepted)
    time.sleep(1.5 * round_trip)
    callee = socket.create_connection(target)
    for sock in (caller, callee):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _start(_read, callee, back, round_trip / 2, 0.0)
    writers = [_start(_write, there, callee), _start(_write, back, caller)]
    for writer in writers:
        writer.join()
    caller.close()
    callee.close()


def _start(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _read(source: socket.socket, line: Line, late: float, not_before: float) -> None:
    data = b"x"
    while data:
        try:
            data = source.recv(1 << 16)
        except OSError:
            data = b""
        line.put((max(time.monotonic() + late, not_before), data))


def _write(line: Line, sink: socket.socket) -> None:
    with suppress(OSError):
        while True:
            due, data = line.get()
            time.sleep(max(due - time.monotonic(), 0))
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
