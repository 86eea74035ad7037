"""How far recorded runs came on each host: what the journal knows, and what a host's note adds to it. Pure.

A run that goes on with another names it, so runs form a chain; oldest first. The journal holds the outcome of every act
before the host's next one begins (docs/adr/0089), so of each host only the last step that was begun can be unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kubeforge.engine.plan import PlannedStep
from kubeforge.engine.records import RunRecord
from kubeforge.transport.protocol.note import last_act

__all__ = ["Deed", "HostProgress", "OpenStep", "Told", "progress_of"]

_UNKNOWN: Final = frozenset({"ConnectionLost", "DeadlineExceeded", "ProtocolError"})
"""Failures after which nobody knows how far an action came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that was done on a host.

    Args:
        play: in which play.
        title: of the change; of the step where `step`.
        step: whether a whole step ended, and not one change.
        every_run: whether nothing on the host tells it.
    """

    play: str
    title: str
    step: bool = False
    every_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a step whose end is not recorded.

    Args:
        done: changes that were made.
        doubtful: titles of changes that no run may repeat by itself, and of which nobody knows whether they were made.
    """

    done: tuple[Deed, ...] = ()
    doubtful: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStep:
    """The last step that a host began, and what the record says of its end.

    Args:
        run_id: of its run.
        planned: as planned.
        recorded: titles of its changes that are recorded as made.
        failure: class of its failure; None: its end is not recorded.
        before: what the host's step before it was to change.
        ended: whether it ended well.
        began: seconds since 1970 by the clock of the machine that ran it.
    """

    run_id: str
    planned: PlannedStep
    recorded: frozenset[str] = frozenset()
    failure: str | None = None
    before: frozenset[str] = frozenset()
    ended: bool = False
    began: float = 0.0

    def told_by(self, note: bytes | None) -> Told:
        """Return what the host's note adds.

        Args:
            note: of the host's last act; None where there is none.
        """
        once = {change.title for change in self.planned.changes if change.every_run}
        risky = {change.title for change in self.planned.changes if change.every_run and not change.repeatable}
        if self.planned.action:
            if self.failure is not None and self.failure not in _UNKNOWN:
                risky &= {change.title for change in self.planned.changes[:-1]}  # what failed, failed after these
            return Told(doubtful=frozenset(risky))
        act = last_act(note)
        if act is None or act.run_id != self.run_id:
            return Told()  # its act never began
        titles = {*act.done, *act.pending, *filter(None, (act.doubtful, act.failed))}
        if not titles <= {change.title for change in self.planned.changes}:
            return Told()  # the note is of an earlier act
        made = [title for title in act.done if title not in self.recorded]
        if titles <= self.before:  # or is it? both steps are called the same
            return Told(doubtful=frozenset(risky.intersection([*made, *filter(None, (act.doubtful,))])))
        done = (Deed(play=self.planned.play, title=title, every_run=title in once) for title in made)
        return Told(done=tuple(done), doubtful=frozenset(risky & {act.doubtful}))


@dataclass(slots=True, kw_only=True)
class HostProgress:
    """How far a host came.

    Args:
        deeds: in order.
        planned: (play, step) -> how many such steps were planned.
        ended: (play, step) -> how many of them ended well.
        last: the last step begun.
    """

    deeds: list[Deed] = field(default_factory=list)
    planned: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: OpenStep | None = None

    def told_by(self, note: bytes | None) -> Told:
        """Return what the host's note adds to the record."""
        return Told() if self.last is None or self.last.ended else self.last.told_by(note)

    @property
    def unfinished(self) -> bool:
        """Whether a planned step did not end well."""
        return any(self.ended[step] < count for step, count in self.planned.items())


def progress_of(chain: Sequence[RunRecord]) -> dict[str, HostProgress]:
    """Return how far each host came.

    Args:
        chain: runs of which each goes on with the one before it; oldest first.
    """
    hosts: dict[str, HostProgress] = {}
    for run in chain:
        for host, deeds in run.resumed.get("told", {}).items():
            known = hosts.setdefault(host, HostProgress())
            known.deeds += [Deed(**deed) for deed in deeds]
            known.last = None
        steps = {host: list(mine) for host, mine in _by_host(run.plan.steps if run.plan is not None else ())}
        for host, mine in steps.items():
            known = hosts.setdefault(host, HostProgress())
            # What is planned again was not ended before; what is not is no longer needed.
            known.planned = known.ended + Counter((step.play, step.step) for step in mine)
        for event in run.events:
            host = str(event.get("host"))
            if host in steps:
                _add(hosts[host], run.run_id, steps[host], event)
    return hosts


def _by_host(steps: Iterable[PlannedStep]) -> Iterator[tuple[str, list[PlannedStep]]]:
    found: dict[str, list[PlannedStep]] = {}
    for step in steps:
        found.setdefault(step.host, []).append(step)
    yield from found.items()


def _add(known: HostProgress, run_id: str, waiting: list[PlannedStep], event: Mapping[str, Any]) -> None:
    """Take one event of a host's into account; `waiting`: its planned steps that were not begun before."""
    match event["event"]:
        case "StepStarted":
            names = (event["play"], event["step"])
            found = next((step for step in waiting if (step.play, step.step) == names), None)
            if found is not None:
                del waiting[: waiting.index(found) + 1]
                last = known.last
                before = last.planned.changes if last and last.run_id == run_id else ()
                titles = frozenset(change.title for change in before)
                known.last = OpenStep(run_id=run_id, planned=found, before=titles, began=float(event.get("at", 0)))
        case "ChangeDone":
            once = bool(event.get("every_run"))
            known.deeds.append(Deed(play=event["play"], title=event["title"], every_run=once))
            if known.last:
                known.last = replace(known.last, recorded=known.last.recorded | {event["title"]})
        case "StepFailed":
            if known.last:
                known.last = replace(known.last, failure=str(event["failure"].get("error")))
        case "StepDone":
            known.deeds.append(Deed(play=event["play"], title=event["step"], step=True))
            known.ended[event["play"], event["step"]] += 1
            if known.last:
                known.last = replace(known.last, ended=True)
