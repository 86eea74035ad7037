"""Ctrl-C in two steps: the first stops a run after what runs now, the second leaves at once."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from kubeforge.engine.events import Events, Stopping
from kubeforge.errors import Interrupted

__all__ = ["interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDED = 0
"""What a thread says that has done its work, where signals are told by their numbers; no signal has this one."""


def interruptible(work: Callable[[], None], stop: threading.Event, events: Events) -> None:
    """Do `work`; SIGINT and SIGTERM set `stop` meanwhile, and a second one leaves at once, whatever the work is at.

    The main thread only waits, and the work is done by another one, a daemon. An exception out of a signal handler
    comes up wherever the main thread is: also in a finalizer, where Python drops it, or in the middle of a Condition's
    wait, which breaks of it. And a thread that is about to wait for a lock hears of a signal only afterwards.

    Outside the main thread, no signal is heard: whoever runs the engine there has to set `stop`.

    Raises:
        Interrupted: a second signal. The work goes on as far as it gets.
        BaseException: whatever `work` raised.
    """
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    with _signals() as (heard, told):
        raised: list[BaseException] = []

        def serve() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - handed over to the main thread, which raises it
                raised.append(error)
            with suppress(OSError):  # closed: the main thread has left
                told.send(bytes([_ENDED]))

        threading.Thread(target=serve, name="kubeforge-run", daemon=True).start()
        _wait(heard, stop, events)
    for error in raised:
        raise error


def _wait(heard: socket.socket, stop: threading.Event, events: Events) -> None:
    """Return when the work has ended.

    Raises:
        Interrupted: a second signal.
    """
    asked = False
    while (number := heard.recv(1)[0]) != _ENDED:
        if number not in SIGNALS:
            continue
        if asked:
            raise Interrupted(
                "left at once: what ran goes on by itself on the hosts",
                remedy="run again: each host tells how far it came",
            )
        asked = True
        stop.set()
        why = f"{signal.Signals(number).name}: stopping after what runs now; once more leaves at once"
        # by a thread of its own: a terminal that does not take it may not keep us from hearing the second signal
        threading.Thread(target=events.emit, args=(Stopping(why=why),), daemon=True).start()


@contextmanager
def _signals() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Let signals do nothing but be heard: yield a socket that gives their numbers, and its other end."""

    def nothing(_number: int, _frame: FrameType | None) -> None:
        """Without a handler, Python tells nobody."""

    heard, told = socket.socketpair()
    with heard, told:
        told.setblocking(False)
        wakes = signal.set_wakeup_fd(told.fileno())
        before = {number: signal.signal(number, nothing) for number in SIGNALS}
        try:
            yield heard, told
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakes)
