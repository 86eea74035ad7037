"""Puts the page together: what a run's record says, sorted for a reader, given to `templates/report/run.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kubeforge import __version__, resources
from kubeforge.engine.plan import PlannedChange
from kubeforge.engine.records import ChangeRecord, RunRecord, StepRecord
from kubeforge.report.page.timeline import Bar, lanes, play_bars, shown_first
from kubeforge.report.page.topology import picture
from kubeforge.report.plan import diff_lines
from kubeforge.report.words import SYMBOLS, counted, hosts_named, span

__all__ = ["Alike", "as_html"]

_SLOWEST = 15
_NAMED = 6
_LANES = 40
"""Hosts whose lanes are shown at once; those of more can be opened."""
_TOLD = 2000
"""Characters of a message; the facts of five hundred hosts would make a page that no phone opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """One change that was made on several hosts in the same way.

    Args:
        change: as the first of them has it.
        hosts: where, in the order of time.
        seconds: what it took at the longest.
        diff: lines of a unified diff, each with its colour; empty where none was recorded.
        secret: whether what was uploaded is a secret, whose content no report shows.
    """

    change: ChangeRecord
    hosts: tuple[str, ...]
    seconds: float
    diff: tuple[tuple[str, str], ...]
    secret: bool


def as_html(run: RunRecord) -> str:
    """Return the page of a run."""
    plays = play_bars(run)
    return (
        _environment()
        .get_template("run.html")
        .render(
            run=run,
            verdict=_verdict(run),
            summary=_summary(run),
            lanes=shown_first(lanes(run), _LANES),
            plays=plays,
            numbers={bar.play: bar.number for bar in plays},
            planned=_planned(run),
            picture=picture(run),
            groups=_grouped(run),
            slowest=sorted(run.steps, key=_seconds, reverse=True)[:_SLOWEST],
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(resources.templates() / "report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(seconds=_seconds, span=span, symbol=lambda verb: SYMBOLS[verb], hosts=_hosts, counted=counted)
    made.filters.update(outcome=_outcome, told=_told)
    return made


def _seconds(step: StepRecord) -> float:
    return (step.ended or step.began) - step.began


def _outcome(bar: Bar) -> str:
    """Say what a step came to, shortly."""
    changes = counted(bar.record.changes, "change") if bar.record.changes else ""
    words = {"failed": "failed", "cut": "did not end"}.get(bar.state, "")
    return ", ".join(part for part in (words, changes) if part) or "no change"


def _told(text: str) -> str:
    """Return a message, cut where it is very long."""
    left = len(text) - _TOLD
    return text if left <= 0 else f"{text[:_TOLD]} … ({counted(left, 'more character')})"


def _hosts(names: Sequence[str], total: int) -> str:
    return hosts_named(names, total, shown=_NAMED)


def _verdict(run: RunRecord) -> tuple[str, str]:
    """Return a class and words for how the run ended."""
    if run.failures:
        return "failed", "Failed" if run.has_begun else "Nothing done"
    if run.exit_code is None:
        return "cut", "Was cut off"
    if run.remaining:
        return "cut", "Stopped"
    return ("changed", "Done") if run.made else ("same", "Nothing to do")


def _summary(run: RunRecord) -> tuple[tuple[str, str], ...]:
    changed = len({change.host for change in run.changes})
    rows = [
        ("Run", run.run_id),
        ("Playbook", run.playbook),
        ("Began", f"{run.began:%Y-%m-%d %H:%M:%S} UTC"),
        ("Took", span(run.seconds)),
        ("Hosts", f"{len(run.hosts)}, {changed} changed"),
        ("Changes", counted(run.made, "change")),
    ]
    rows += [("Not made", counted(run.remaining, "change"))] if run.remaining else []
    version = run.site.get("kubernetes")
    return (*rows, *([("Kubernetes", str(version))] if version else []))


def _planned(run: RunRecord) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what was told while planning, each text with the hosts it was told of."""
    found: dict[str, list[str]] = {}
    for one in run.plan.said if run.plan is not None else ():
        found.setdefault(one.text, []).append(one.host)
    return tuple((text, tuple(hosts)) for text, hosts in found.items())


def _grouped(run: RunRecord) -> tuple[tuple[str, tuple[Alike, ...]], ...]:
    """Return the changes by play, equal ones of several hosts together, in the order of time."""
    planned = {
        (step.host, step.play, change.title): change
        for step in (run.plan.steps if run.plan is not None else ())
        for change in step.changes
    }
    found: dict[object, list[tuple[ChangeRecord, PlannedChange | None]]] = {}
    for made in run.changes:
        plan = planned.get((made.host, made.play, made.title))
        same = (made.play, made.title, made.verb, made.why, plan and (plan.digest, plan.diff))
        found.setdefault(same, []).append((made, plan))
    alike = [_alike(several) for several in found.values()]
    plays = dict.fromkeys(one.change.play for one in alike)
    return tuple((play, tuple(one for one in alike if one.change.play == play)) for play in plays)


def _alike(several: Sequence[tuple[ChangeRecord, PlannedChange | None]]) -> Alike:
    change, plan = several[0]
    return Alike(
        change=change,
        hosts=tuple(made.host for made, _ in several),
        seconds=max(made.seconds for made, _ in several),
        diff=tuple(diff_lines(plan.diff)) if plan and plan.diff else (),
        secret=bool(plan and plan.secret),
    )
