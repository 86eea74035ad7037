"""Ctrl-C in two steps: the first stops a run after what runs now, the second leaves at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kubeforge.engine.events import Events, Stopping
from kubeforge.errors import Interrupted

__all__ = ["stopped_by_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(stop: threading.Event, events: Events) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`, and a second one raise Interrupted in the main thread.

    Outside the main thread nothing is installed: whoever runs the engine there has to set `stop`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise Interrupted(
                "left at once: what ran goes on by itself on the hosts",
                remedy="run again: each host tells how far it came",
            )
        asked = True
        stop.set()
        # The handler runs between two instructions of the main thread, which may hold the sinks' lock: another thread
        # tells it.
        why = f"{signal.Signals(number).name}: stopping after what runs now; once more leaves at once"
        threading.Thread(target=events.emit, args=(Stopping(why=why),), daemon=True).start()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
