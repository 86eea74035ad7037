"""Runs the same work for many hosts at once. Knows neither what the work is nor what a host is.

The work takes one job and returns one outcome; both are values, so that an executor may carry them to another process
near the hosts. Work raises nothing foreseeable: an outcome says what failed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["MAX_THREADS", "Executor", "ThreadExecutor"]

J = TypeVar("J")
R = TypeVar("R")

MAX_THREADS = 50
"""More threads than this are slower: for 1000 hosts 16 took 20.0 s, 50 20.8 s, 200 22.5 s (docs/engine.md)."""


class Executor(Protocol):
    """Runs jobs, some at once."""

    def each(
        self, work: Callable[[J], R], jobs: Sequence[J], *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[J, R]]:
        """Run `work` for each job and yield what ends, in the order it ends.

        Args:
            work: called once per job.
            jobs: begun in order.
            stop: asked before each job is begun; once it is true no further job begins, and those yield nothing.
        """


class ThreadExecutor:
    """Threads of this process.

    They are daemons and not those of concurrent.futures, which Python waits for at its end: a second Ctrl-C must be
    able to leave at once, whatever a host is doing.

    Args:
        threads: at most so many at once.
    """

    def __init__(self, threads: int = MAX_THREADS) -> None:
        self._threads = max(1, min(threads, MAX_THREADS))

    def each(
        self, work: Callable[[J], R], jobs: Sequence[J], *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[J, R]]:
        """See Executor.each.

        Raises:
            BaseException: whatever `work` raised, in the caller's thread.
        """
        waiting: queue.SimpleQueue[J] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[J, R] | BaseException | None] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)

        def serve() -> None:
            try:
                while not stop():
                    job = waiting.get_nowait()
                    ended.put((job, work(job)))
            except queue.Empty:
                ended.put(None)
            except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread, which raises it
                ended.put(error)
            else:
                ended.put(None)

        running = min(self._threads, len(jobs))
        for number in range(running):
            threading.Thread(target=serve, name=f"kubeforge-{number}", daemon=True).start()
        while running:
            outcome = ended.get()
            if outcome is None:
                running -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
