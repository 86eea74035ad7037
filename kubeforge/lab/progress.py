"""How the lab says what it is doing, without knowing who listens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "Silent", "timed"]


class Progress(Protocol):
    """Somebody who listens; every call comes from the thread that called the lab."""

    def begin(self, part: str) -> None:
        """A part of the work begins."""

    def end(self, part: str, seconds: float) -> None:
        """It is done."""

    def note(self, message: str) -> None:
        """Something the user should know."""


class Silent:
    """Nobody listens."""

    def begin(self, part: str) -> None:
        """Say nothing."""

    def end(self, part: str, seconds: float) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


@contextmanager
def timed(progress: Progress, part: str) -> Iterator[None]:
    """Tell the listener about a part of the work, and how long it took; a part that failed has no end."""
    begun = time.monotonic()
    progress.begin(part)
    yield
    progress.end(part, time.monotonic() - begun)
