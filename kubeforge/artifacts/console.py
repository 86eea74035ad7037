"""Shows progress and the catalogue on a terminal; where there is none, each part is one line when it is done.

What is compiled also says so when it begins: it takes minutes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from kubeforge.artifacts.model import ProgressEvent, Stage

if TYPE_CHECKING:
    from kubeforge.artifacts.listing import Row

__all__ = ["ConsoleProgress", "amount", "show_rows"]

_WORDS: Final = {
    Stage.DOWNLOAD: "fetched",
    Stage.UNPACK: "unpacked",
    Stage.COMPILE: "compiled",
    Stage.PACK: "packed",
}


def amount(stage: Stage, count: int) -> str:
    """Return a count in the stage's unit: megabytes, or packages."""
    return f"{count / 1e6:.1f} MB" if stage in {Stage.DOWNLOAD, Stage.UNPACK} else str(count)


class _Remaining(ProgressColumn):
    """The remaining time as the event says it: for compiling it is better known than from the speed alone."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("remaining")
        return Text("" if left is None else f"{int(left) // 60}:{int(left) % 60:02d}")


class ConsoleProgress:
    """A `model.Progress` on standard error; a context manager, so that the terminal is restored in any case."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[amount]}"),
            _Remaining(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, Stage], TaskID] = {}
        self._began: dict[tuple[str, Stage], float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: ProgressEvent) -> None:
        """Show one event; called from several threads."""
        with self._lock:
            if event.stage in {Stage.NOTE, Stage.WAIT}:
                self._console.print(f"{event.part}: {event.text}", markup=False)
            elif event.finished:
                self._finish(event)
            else:
                self._show(event)

    def _show(self, event: ProgressEvent) -> None:
        key = (event.part, event.stage)
        if key not in self._tasks:
            self._began[key] = time.monotonic()
            self._tasks[key] = self._bars.add_task(f"{event.stage} {event.part}", amount="", remaining=None)
            if event.stage is Stage.COMPILE and not self._console.is_terminal:
                about = f", about {event.remaining:.0f} s" if event.remaining else ""
                self._console.print(f"           compiling {event.part}{about} …", markup=False)
        done = amount(event.stage, event.done)
        self._bars.update(
            self._tasks[key],
            completed=event.done,
            total=event.total,
            amount=event.text or (f"{done} / {amount(event.stage, event.total)}" if event.total else done),
            remaining=event.remaining,
        )

    def _finish(self, event: ProgressEvent) -> None:
        key = (event.part, event.stage)
        task = self._tasks.pop(key, None)
        if task is not None:
            self._bars.remove_task(task)
        now = time.monotonic()
        seconds = now - self._began.pop(key, now)
        what = f", {amount(event.stage, event.done)}" if event.stage is Stage.DOWNLOAD else ""
        self._console.print(f"{seconds:7.1f} s  {_WORDS[event.stage]} {event.part}{what}", markup=False)


def show_rows(found: Sequence[Row], output: str) -> None:
    """Print the catalogue to standard output.

    Args:
        found: its rows.
        output: table, json or yaml.
    """
    if output == "json":
        print(json.dumps([row.as_dict() for row in found], indent=2))
        return
    if output == "yaml":
        import yaml  # noqa: PLC0415 - only this form needs it

        print(yaml.safe_dump([row.as_dict() for row in found], sort_keys=False), end="")
        return
    heads = ("KUBERNETES", "KIND", "NAME", "VERSION", "ARCH", "SHA-256", "CACHED", "SOURCE", "LOCATION")
    lines = [heads, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(row: Row) -> tuple[str, ...]:
    marks = ("yes" if row.cached else "", "yes" if row.source else "")
    return (row.kubernetes, row.kind, row.name, row.version, row.arch, row.sha256[:12], *marks, row.location)
