"""Shows a lab's progress on a terminal: a spinner while a part runs, one line with its time when it is done."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

__all__ = ["ConsoleProgress"]


class ConsoleProgress:
    """A `progress.Progress` on standard error; a context manager, so that the spinner ends in any case."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def begin(self, part: str) -> None:
        """Show what runs now."""
        self._stop()
        self._status = self._console.status(part)
        self._status.start()

    def end(self, part: str, seconds: float) -> None:
        """Show how long it took."""
        self._stop()
        self._console.print(f"{seconds:7.2f} s  {part}", markup=False, soft_wrap=True)

    def note(self, message: str) -> None:
        """Show a message."""
        self._console.print(f"     note  {message}", markup=False, soft_wrap=True)
