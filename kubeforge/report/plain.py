"""The run where there is no terminal: lines for logs and pipes. Needs no rich, which takes 30 ms to begin."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self, TextIO

from kubeforge.engine.events import ActionSaid, Event, HostWaits
from kubeforge.report.scrolled import scrolled
from kubeforge.report.words import span

__all__ = ["PlainConsole"]

_NOT_PRINTED: Final = dict.fromkeys((7, 8, 11, 12, 13))  # bell, backspace, tabs and feeds, carriage return: as rich


class PlainConsole:
    """A sink that prints lines and overwrites nothing: for logs and pipes.

    Args:
        stream: where to.
        verbose: also each change and each host's facts.
    """

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose
        self._said: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Print what is worth a line; what an action repeats is printed once."""
        for text, _ in scrolled(event, verbose=self._verbose):
            self._print(text)
        match event:
            case ActionSaid(host=host, step=step, message=message):
                self._say(host, f"{step}: {message}")
            case HostWaits(host=host, message=message, limit=limit):
                self._say(host, f"waits, at most {span(limit)}: {message}")

    def _say(self, host: str, message: str) -> None:
        if self._said.get(host) != message:
            self._said[host] = message
            self._print(f"  {host}: {message}")

    def _print(self, line: str) -> None:
        print(line.translate(_NOT_PRINTED), file=self._stream, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be put back."""
