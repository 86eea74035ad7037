"""What a run came to, as text or JSON: failures first, then what was not done, then times."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from kubeforge.engine.result import RunResult
from kubeforge.report.words import counted, failure_lines, span

__all__ = ["as_json", "as_text", "print_result"]

REMAINING_SHOWN = 20
"""Steps not done that text names; the journal and JSON have all."""


def as_json(result: RunResult) -> str:
    """Return the result as JSON."""
    return json.dumps(result.to_data(), ensure_ascii=False, indent=2)


def as_text(result: RunResult) -> str:
    """Return the result as plain text, without colour."""
    return "\n".join(line.plain for line in _lines(result)) + "\n"


def print_result(result: RunResult, console: Console, *, failures: bool = True) -> None:
    """Print the result, in colour where the console has any.

    Args:
        result: what the run came to.
        console: where to.
        failures: also what went wrong; not where a console has shown it already.
    """
    for line in _lines(result, failures=failures):
        console.print(line, soft_wrap=True)


def _lines(result: RunResult, *, failures: bool = True) -> Iterator[Text]:
    for failure in result.failures if failures else ():
        for number, line in enumerate(failure_lines(failure)):
            yield Text(line, style="bold red" if number == 0 else "")
    yield from _remaining(result)
    for play in result.plays:
        yield Text(f"  {play.play:<50} {counted(play.hosts, 'host'):>10} {span(play.seconds):>12}", style="dim")
    yield _verdict(result)


def _remaining(result: RunResult) -> Iterator[Text]:
    if not result.remaining:
        return
    hosts = Counter(step.host for step in result.remaining)
    yield Text(
        f"Not done: {counted(result.remaining_changes, 'change')} in {counted(len(result.remaining), 'step')} "
        f"on {counted(len(hosts), 'host')}:",
        style="yellow",
    )
    for step in result.remaining[:REMAINING_SHOWN]:
        yield Text(f"  {step.host}: {step.step} ({counted(len(step.titles), 'change')})", style="yellow")
    if len(result.remaining) > REMAINING_SHOWN:
        yield Text(f"  … and {len(result.remaining) - REMAINING_SHOWN} more", style="yellow")


def _verdict(result: RunResult) -> Text:
    hosts = len({done.host for done in result.done})
    made = (
        f"{counted(len(result.done), 'change')} made on {counted(hosts, 'host')}" if result.done else "Nothing changed"
    )
    took = span(result.seconds)
    if result.failures:
        return Text(f"Failed after {took}: {made}. Run again to go on.", style="bold red")
    if result.interrupted:
        return Text(f"Stopped after {took}: {made}. Run again to go on.", style="bold yellow")
    return Text(f"Done in {took}: {made}.", style="bold green")
