"""Recorded runs as text: which there are, what one did, how two differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from kubeforge.engine.events import WARNING
from kubeforge.engine.records import ChangeRecord, FailureRecord, RunRecord
from kubeforge.report.tables import add_row, new_table, print_table
from kubeforge.report.words import STYLES, SYMBOLS, counted, hosts_named, span

__all__ = ["Difference", "compared", "print_difference", "print_list", "print_run"]

_SLOWER: Final = 1.0
"""Seconds by which a play must differ to be named."""
_SAID: Final = 20
"""Messages that are shown."""
_WORDS: Final = 160
"""Characters of one that are."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a run differs from an earlier one.

    Args:
        first: the earlier run's changes that the later one did not make.
        second: the later run's changes that the earlier one did not make.
        both: how many both made, the same thing on the same host.
        hosts: only in the first, only in the second.
        plays: play -> seconds in the first, in the second; None where it had nothing to do.
        failures: of the first, of the second.
    """

    first: tuple[ChangeRecord, ...]
    second: tuple[ChangeRecord, ...]
    both: int
    hosts: tuple[tuple[str, ...], tuple[str, ...]]
    plays: dict[str, tuple[float | None, float | None]]
    failures: tuple[tuple[FailureRecord, ...], tuple[FailureRecord, ...]]

    def to_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "only_first": [_change(one) for one in self.first],
            "only_second": [_change(one) for one in self.second],
            "both": self.both,
            "hosts": {"only_first": list(self.hosts[0]), "only_second": list(self.hosts[1])},
            "plays": {play: list(times) for play, times in self.plays.items()},
            "failures": [[f"{one.host}: {one.cause}" for one in each] for each in self.failures],
        }


def compared(first: RunRecord, second: RunRecord) -> Difference:
    """Return how the second run differs from the first."""
    made = [{(one.host, one.title): one for one in run.changes} for run in (first, second)]
    names = [[host.name for host in run.hosts] for run in (first, second)]
    times = [_plays(run) for run in (first, second)]
    return Difference(
        first=tuple(one for key, one in made[0].items() if key not in made[1]),
        second=tuple(one for key, one in made[1].items() if key not in made[0]),
        both=len(made[0].keys() & made[1].keys()),
        hosts=(
            tuple(name for name in names[0] if name not in names[1]),
            tuple(name for name in names[1] if name not in names[0]),
        ),
        plays={play: (times[0].get(play), times[1].get(play)) for play in {**times[0], **times[1]}},
        failures=(first.failures, second.failures),
    )


def print_list(runs: Sequence[RunRecord], console: Console) -> None:
    """Print runs, newest first, one a line."""
    table = new_table("RUN", "PLAYBOOK", "BEGAN", "TOOK", "HOSTS", "CHANGES", "ENDED")
    for run in runs:
        words, style = _ended(run)
        when = (f"{run.began:%Y-%m-%d %H:%M:%S}", span(run.seconds))
        add_row(table, run.run_id, run.playbook, *when, str(len(run.hosts)), str(run.made), words, style=style)
    print_table(table, console)


def print_run(run: RunRecord, console: Console) -> None:
    """Print one run: what went wrong first, what was warned of, what was done, host by host, and what was said."""
    words, style = _ended(run)
    console.print(
        Text(f"{run.playbook} on {run.cluster}, {run.began:%Y-%m-%d %H:%M:%S} UTC: {words}", style=f"bold {style}")
    )
    for failure in run.failures:
        for line in _failure(failure):
            console.print(line, soft_wrap=True)
    for remark in run.remarks:
        whose = f"{remark.host}: " if remark.host else ""
        console.print(Text(f"{WARNING}{whose}{remark.text}", style="yellow"), soft_wrap=True)
    for host in dict.fromkeys(change.host for change in run.changes):
        mine = [change for change in run.changes if change.host == host]
        console.print(Text(f"{host} ({counted(len(mine), 'change')})", style="bold"))
        for change in mine:
            console.print(_line(change), soft_wrap=True)
    for line in _said(run):
        console.print(line, soft_wrap=True)
    console.print(
        Text(f"{counted(run.made, 'change')} in {span(run.seconds)}; recorded in {run.path}", style="dim"),
        soft_wrap=True,
    )


def print_difference(first: RunRecord, second: RunRecord, console: Console) -> None:
    """Print how the second run differs from the first."""
    found = compared(first, second)
    for run, only, hosts in zip((first, second), (found.first, found.second), found.hosts, strict=True):
        console.print(Text(f"Only in {run.run_id}: {counted(len(only), 'change')}", style="bold"))
        if hosts:
            console.print(f"  hosts: {', '.join(hosts)}", soft_wrap=True)
        for change in only:
            console.print(Text(f"  {change.host}:").append_text(_line(change)), soft_wrap=True)
        for failure in run.failures:
            console.print(Text(f"  {failure.host or ''}: {failure.cause}", style="red"), soft_wrap=True)
    console.print(Text(f"In both: {counted(found.both, 'change')}", style="bold"))
    for play, times in found.plays.items():
        if None in times or abs((times[0] or 0) - (times[1] or 0)) >= _SLOWER:
            told = [span(time) if time is not None else "nothing to do" for time in times]
            console.print(f"  {play}: {told[0]}, then {told[1]}", soft_wrap=True)


def _plays(run: RunRecord) -> dict[str, float]:
    return {one["play"]: float(one["seconds"]) for one in run.events if one["event"] == "PlayDone"}


def _ended(run: RunRecord) -> tuple[str, str]:
    if run.failures and not run.has_begun:
        return f"nothing done, {counted(len(run.failures), 'failure')}", "red"
    if run.failures:
        return f"failed, {counted(run.remaining, 'change')} left", "red"
    if run.exit_code is None:
        return "cut off", "yellow"
    if run.remaining:
        return f"stopped, {counted(run.remaining, 'change')} left", "yellow"
    return "nothing to do" if run.was_idle else "well", ""


def _failure(failure: FailureRecord) -> Iterator[Text]:
    where = ": ".join(part for part in (failure.host, failure.step) if part)
    yield Text(f"{where}: {failure.cause}", style="red")
    yield from (Text(f"    {line}", style="dim") for line in failure.evidence)
    if failure.remedy:
        yield Text(f"  next: {failure.remedy}")


def _said(run: RunRecord) -> Iterator[Text]:
    """Yield what was said, one line a message, those of several hosts together, the last ones where there are many."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for one in run.said:
        found.setdefault((one.step, one.text), {})[one.host] = None
    if found:
        yield Text("Said", style="bold")
    left = len(found) - _SAID
    if left > 0:
        yield Text(f"  … {counted(left, 'earlier message')}; kubeforge report has them all", style="dim")
    for (step, text), hosts in list(found.items())[-_SAID:]:
        words = " ".join(text.split())
        shown = words if len(words) <= _WORDS else f"{words[: _WORDS - 1]}…"
        line = Text(f"  {hosts_named(list(hosts), len(run.hosts))}: ", style="cyan")
        yield line.append(shown, style="default").append(f"  {step}", style="dim")


def _line(change: ChangeRecord) -> Text:
    line = Text(f"  {SYMBOLS[change.verb]} ", style=STYLES[change.verb])
    return line.append(change.title, style="default").append(f"  {change.why}", style="dim")


def _change(change: ChangeRecord) -> dict[str, str]:
    return {"host": change.host, "title": change.title, "verb": change.verb, "why": change.why}
