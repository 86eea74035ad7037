"""The run on a terminal: one live line per host, changes scrolling above."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kubeforge.engine.events import (
    WARNING,
    ActionSaid,
    ChangeDone,
    Event,
    HostDone,
    HostFacts,
    HostFailed,
    HostWaits,
    PlanReady,
    PlayStarted,
    RunDone,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from kubeforge.report.scrolled import scrolled
from kubeforge.report.words import span

__all__ = ["LiveConsole"]


@dataclass(slots=True)
class _Line:
    """What a host's line shows."""

    step: str = ""
    said: str = ""
    planned: int = 0
    done: int = 0
    since: float = 0.0
    limit: float = 0.0
    state: str = "waits"


class LiveConsole:
    """A sink with one live line per host that has something to do. A context manager: leaving it puts the cursor back.

    Args:
        console: a terminal.
        verbose: also each change and each host's facts, scrolling above.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._lines: dict[str, _Line] = {}
        self._warned: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._live = Live(self, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take one event in."""
        with self._lock:
            self._take(event)
        for text, style in (*scrolled(event, verbose=self._verbose), *self._warning(event)):
            self._console.print(Text(text, style=style), soft_wrap=True)

    def _warning(self, event: Event) -> Iterator[tuple[str, str]]:
        """Yield what an action warns of, once: a live line would be gone with its step, or with the plan."""
        match event:
            case ActionSaid(host=host, message=message) if message.startswith(WARNING):
                if (host, message) not in self._warned:
                    self._warned.add((host, message))
                    yield f"{WARNING}{host}: {message.removeprefix(WARNING)}", "yellow"

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted(mode=mode, hosts=hosts):
                asked = mode == "plan"
                self._lines = {host: _Line(state="is asked", since=event.at) for host in hosts} if asked else {}
            case HostWaits(host=host, message=message, limit=limit):
                line = self._lines.setdefault(host, _Line())
                if line.state != "is busy":
                    line.since = event.at
                line.said, line.limit, line.state = message, limit, "is busy"
            case HostFacts(host=host):
                self._lines.pop(host, None)
            case PlanReady() | RunDone():
                self._lines = {}
            case PlayStarted(hosts=hosts):
                self._lines = {host: _Line() for host in hosts}
            case HostFailed(host=host):
                self._lines.pop(host, None)
            case StepStarted() | ChangeDone() | ActionSaid() | StepDone() | StepFailed() | HostDone():
                _advance(self._lines.setdefault(event.host, _Line()), event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the lines that fit; hosts at work first."""
        with self._lock:
            lines = sorted(self._lines.items(), key=lambda item: ORDER.get(item[1].state, 0))
        room = max(3, options.max_height - 4)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, max_width=30)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, ratio=1)
        for host, line in lines[:room]:
            table.add_row(Text(host, style=COLOURS.get(line.state, "")), _count(line), _doing(line))
        if len(lines) > room:
            table.add_row(Text("…", style="dim"), Text(), Text(f"{len(lines) - room} more hosts", style="dim"))
        yield table


ORDER = {"failed": 0, "works": 1, "is busy": 1, "is asked": 2, "waits": 3, "done": 4}
COLOURS = {
    "failed": "bold red",
    "works": "cyan",
    "is busy": "yellow",
    "done": "green",
    "waits": "dim",
    "is asked": "dim",
}


def _advance(line: _Line, event: StepStarted | ChangeDone | ActionSaid | StepDone | StepFailed | HostDone) -> None:
    match event:
        case StepStarted(step=step, changes=changes):
            line.step, line.said, line.since, line.state = step, "", event.at, "works"
            line.planned += changes
        case ChangeDone():
            line.done += 1
        case ActionSaid(message=message):
            line.said = message
        case StepFailed():
            line.state = "failed"
        case HostDone():
            line.state = "done"


def _count(line: _Line) -> Text:
    return Text(f"{line.done}/{line.planned}" if line.planned else "", style="dim")


def _doing(line: _Line) -> Text:
    spent = span(max(0.0, time.time() - line.since))
    if line.state == "is busy":
        return Text(f"waits {spent} of at most {span(line.limit)}: {line.said}", style=COLOURS["is busy"])
    if line.state != "works":
        return Text(line.state, style=COLOURS.get(line.state, ""))
    text = Text(line.step)
    if line.said:
        text.append(f": {line.said}")
    text.append(f"  {spent}", style="dim")
    return text
