"""Going on with a recorded run: what it did and nothing on the hosts tells is not planned anew.

Everything else is looked at as always. A host's operations and actions are wrapped once its note was read, so planner
and runner know nothing of it; docs/adr/0089 says why a run may be killed between any two events.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.model import Action, ActionContext
from kubeforge.engine.notifying import NotifiedAction
from kubeforge.engine.program import Batch, Parts, Step
from kubeforge.engine.progress import Deed, HostProgress, Told, progress_of
from kubeforge.engine.records import LAST, RunRecord, find, recorded
from kubeforge.errors import InputError, OperationFailed, Problem
from kubeforge.operations.model import Change, Observation, Operation, Queries
from kubeforge.operations.notified import Notified, Notifying
from kubeforge.spec import paths

__all__ = ["REDO", "SKIP", "GoingOn", "chosen", "unfinished_hosts"]

REDO: Final = "redo"
SKIP: Final = "skip"
"""What is done about changes of which nobody knows whether they were made."""


def chosen(folder: Path, word: str, playbook: str, *, refused: bool = False, file: str | None = None) -> RunRecord:
    """Return the run to go on with.

    Args:
        folder: of the cluster's runs.
        word: see `records.find`; `last`: the newest of this playbook, but not one with nothing to do.
        playbook: name of the one that is to be run.
        refused: whether `last` may be one that began nothing though an earlier one left something.
        file: see `playbook.Playbook.place`; `last` is of no other playbook of that name. None: it may be.

    Raises:
        InputError: there is none, it is of another playbook, or it left nothing.
    """
    begun = [run for run in recorded(folder) if run.plan is not None]
    gone_on = {str(run.resumed.get("run")): run for run in begun}
    mine = [
        run
        for run in begun
        if run.playbook == playbook and run.run_id not in gone_on and file in {None, run.site.get("file", file)}
    ]
    run = _last(mine, refused=refused) if word == LAST else find(folder, word)
    if run is not None and run.run_id in gone_on:
        message = f"run {gone_on[run.run_id].run_id} went on with {run.run_id} already: go on with that one"
        raise InputError([Problem(message=message, file=str(run.path))])
    if run is None or run.plan is None or run.playbook != playbook:
        said = (
            f"run {run.run_id} is of playbook {run.playbook}"
            if run and run.plan is not None
            else "no such run had begun"
        )
        raise InputError([Problem(message=f"{said}; there is no run of {playbook} to go on with", file=str(folder))])
    if _is_well(run):
        raise InputError(
            [Problem(message=f"run {run.run_id} ended well: there is nothing to go on with", file=str(run.path))],
            remedy="run without --resume and --retry-failed, or name another run (kubeforge runs list)",
        )
    return run


def _last(runs: Sequence[RunRecord], *, refused: bool) -> RunRecord | None:
    """Return the first: one that began nothing hides none that left something, as that alone knows what was done."""
    newest = [run for run in runs if run.resumed or not run.was_idle]
    begun = None if refused else next((run for run in newest if run.resumed or run.has_begun), None)
    return begun if begun is not None and not _is_well(begun) else next(iter(newest), None)


def _is_well(run: RunRecord) -> bool:
    return run.exit_code == 0 and run.remaining == 0


def unfinished_hosts(run: RunRecord) -> tuple[str, ...]:
    """Return the hosts that failed in a run, or did not end it, in inventory order.

    Raises:
        InputError: there is none.
    """
    progress = progress_of(_chain(run))
    failed = {failure.host for failure in run.failures} | {host for host, one in progress.items() if one.unfinished}
    failed |= {failure.host for failure in run.plan.failures} if run.plan is not None else set()
    hosts = tuple(host.name for host in run.hosts if host.name in failed)
    if not hosts:
        raise InputError([Problem(message=f"no host failed in run {run.run_id}", file=str(run.path))])
    return hosts


class GoingOn:
    """What a recorded run tells the one that goes on with it.

    Args:
        run: recorded.
        doubtful: `redo` or `skip` what is doubtful; None: refuse the host where something is.

    Raises:
        InputError: a run that it went on with itself is not recorded any more.
    """

    def __init__(self, run: RunRecord, doubtful: str | None = None) -> None:
        chain = _chain(run)
        self.run = run
        self.runs = frozenset(each.run_id for each in chain)
        self.hosts = frozenset(host.name for each in chain for host in each.hosts)
        self.once: dict[str, str] = {}  # see roster.Roster; the earliest run has settled it
        for each in chain:
            self.once = {**each.site.get("once", {}), **self.once}
        self._doubtful = doubtful
        self._progress = progress_of(chain)
        self._told: dict[str, list[Deed]] = {}
        self._lock = threading.Lock()

    def traces(self, host: str, parts: Parts, plays: Sequence[str]) -> Queries:
        """Return what must be seen to tell what became of the action that the host was cut off in; often nothing."""
        action = self._open_action(host, parts, plays)
        return action.traces() if action else Queries()

    def _open_action(self, host: str, parts: Parts, plays: Sequence[str]) -> Action | None:
        """Return the action whose end is not known."""
        last = self._progress[host].last if host in self._progress else None
        if last is None or last.ended or not last.planned.action or not last.told_by(None).doubtful:
            return None
        mine = [steps for number, steps in parts.items() if plays[number] == last.planned.play]
        named = (step for steps in mine for step in steps if step.title == last.planned.step)
        return next((step.action for step in named if not isinstance(step, Batch)), None)

    def parts(self, host: str, parts: Parts, seen: Observation, plays: Sequence[str]) -> Parts:
        """Return a host's steps without what needs no doing anew; on any thread.

        Args:
            host: inventory name.
            parts: its steps as compiled.
            seen: what was observed there, its note among it.
            plays: names of all plays.
        """
        progress = self._progress.get(host)
        if progress is None:
            return parts
        told = progress.told_by(seen.contents.get(paths.RUN_NOTE))
        action = self._open_action(host, parts, plays)
        was_done = action.was_done(seen, progress.last.began) if action and progress.last else None
        if was_done is not None:
            told = Told(done=tuple(_as_done(progress, told)) if was_done else ())
        deeds = [*told.done, *(self._decided(progress, told))]
        has_asked = was_done or any(isinstance(step, Batch) for steps in parts.values() for step in steps)
        if has_asked and (self._doubtful is not None or not told.doubtful):  # what is open stays open in the record
            with self._lock:
                self._told[host] = deeds
        doubtful = told.doubtful if self._doubtful is None else frozenset()
        return _Wrapping(progress, [*progress.deeds, *deeds], doubtful, plays).parts(parts)

    def to_data(self) -> dict[str, Any]:
        """Return what the new run's record needs, so that it can be gone on with in its turn."""
        told = {host: [asdict(deed) for deed in deeds] for host, deeds in self._told.items()}
        return {"version": 1, "run": self.run.run_id, "told": told}

    def _decided(self, progress: HostProgress, told: Told) -> list[Deed]:
        """Return what is doubtful as done, where that was said."""
        return _as_done(progress, told) if self._doubtful == SKIP else []


def _as_done(progress: HostProgress, told: Told) -> list[Deed]:
    """Return what is doubtful as done."""
    if progress.last is None:
        return []
    planned = progress.last.planned
    done = [Deed(play=planned.play, title=title, every_run=True) for title in sorted(told.doubtful)]
    return [*done, Deed(play=planned.play, title=planned.step, step=True)] if planned.action and done else done


class _Wrapping:
    """Wraps one host's steps, in their order; what is called the same counts as often as it was done."""

    def __init__(
        self, progress: HostProgress, deeds: Sequence[Deed], doubtful: frozenset[str], plays: Sequence[str]
    ) -> None:
        self._progress = progress
        self._deeds = deeds
        self._plays = plays
        self._doubtful = doubtful
        self._once = Counter((deed.play, deed.title) for deed in deeds if deed.every_run and not deed.step)
        self._steps = Counter((deed.play, deed.title) for deed in deeds if deed.step)
        self._places: dict[tuple[str, str], int] = {}

    def parts(self, parts: Parts) -> Parts:
        """Return the steps, wrapped."""
        for number, steps in sorted(parts.items()):
            for step in steps:
                for title in _titles(step):
                    self._places.setdefault((self._plays[number], title), len(self._places))
        return {
            number: tuple(self._step(self._plays[number], step) for step in steps) for number, steps in parts.items()
        }

    def _step(self, play: str, step: Step) -> Step:
        name = (play, step.title)
        if isinstance(step, Batch):
            return replace(step, operations=tuple(self._operation(name, one) for one in step.operations))
        is_done = self._steps[name] > 0 and not isinstance(step.action, NotifiedAction)
        self._steps[name] -= is_done
        left = self._progress.planned[name] > self._progress.ended[name]
        action = _ResumedAction(
            step.action,
            waited=left,
            owed=self._owed(name, name),
            is_done=is_done,
            unsure=self._unsure(play, step.title, self._doubtful),
        )
        return replace(step, action=action)

    def _operation(self, step: tuple[str, str], operation: Operation) -> Operation:
        play, title = name = (step[0], operation.title)
        is_done = self._once[name] > 0 and not _is_notified(operation)
        self._once[name] -= is_done
        return _Resumed(
            operation=operation,
            owed=self._owed(step, name),
            is_done=is_done,
            unsure=self._unsure(play, title, self._doubtful & {title}),
        )

    def _owed(self, step: tuple[str, str], name: tuple[str, str]) -> frozenset[str]:
        """Return what changed before this operation's place and after it was last done: its listeners still wait."""
        whole = self._progress.ended[step] >= self._progress.planned[step]
        served = -1
        for index, deed in enumerate(self._deeds):
            is_own = (deed.play, deed.title) == (step if deed.step else name)
            served = index if is_own and (whole or not deed.step) else served
        here = self._places[name]
        later = [deed for deed in self._deeds[served + 1 :] if not deed.step]
        return frozenset(deed.title for deed in later if self._places.get((deed.play, deed.title), -1) < here)

    def _unsure(self, play: str, title: str, doubtful: frozenset[str]) -> str:
        last = self._progress.last
        mine = (
            last is not None and last.planned.play == play and (not last.planned.action or last.planned.step == title)
        )
        return last.run_id if doubtful and mine and last else ""


def _is_notified(operation: Operation) -> bool:
    """Whether it is a handler's: a stamp on the host tells whether it is due, and it may have come to be due anew."""
    inner = operation.operation if isinstance(operation, Notifying) else operation
    return isinstance(inner, Notified)


def _titles(step: Step) -> list[str]:
    return [one.title for one in step.operations] if isinstance(step, Batch) else [step.title]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resumed(Operation):
    """An operation of a run that goes on.

    Args:
        operation: as compiled.
        owed: titles changed in the earlier run that it has not heard of.
        is_done: whether the earlier run did it.
        unsure: the run that may have done it; empty: none.
    """

    kind: ClassVar[str] = "resumed"

    operation: Operation
    owed: frozenset[str]
    is_done: bool
    unsure: str

    @property
    def title(self) -> str:
        """The operation's own."""
        return self.operation.title

    def observe(self) -> Queries:
        """Ask for what the operation asks."""
        return self.operation.observe()

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the operation does; what only the record tells is left out where it is done."""
        change = self.operation.decide(replace(seen, changed=seen.changed | self.owed))
        if change is None or not change.every_run:
            return change
        if self.is_done:
            return None
        return _sure(change, self.unsure, self.title)


@dataclass(frozen=True, slots=True)
class _ResumedAction(Action):
    """An action of a run that goes on.

    Args:
        action: as its task made it.
        waited: whether the earlier run planned it and did not end it: what it waits for is pending still.
        owed: titles changed in the earlier run that it has not heard of.
        is_done: whether the earlier run ended it.
        unsure: the run that may have done it; empty: none.
    """

    action: Action
    waited: bool
    owed: frozenset[str]
    is_done: bool
    unsure: str

    @property
    def title(self) -> str:
        """The action's own."""
        return self.action.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Plan as the action does; nothing where only the record tells that it is done."""
        changes = self.action.plan(self._informed(run))
        for change in changes:
            if change.every_run and self.is_done:
                return ()
            if change.every_run:
                _sure(change, self.unsure, self.title)
        return changes

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it."""
        return self.action.run(self._informed(run))

    def _informed(self, run: ActionContext) -> ActionContext:
        if not (self.waited and isinstance(run, Conversation)):
            return run
        return replace(run, pending=True, expected=replace(run.expected, changed=run.expected.changed | self.owed))


def _sure(change: Change, unsure: str, step: str) -> Change:
    """Return the change.

    Raises:
        OperationFailed: nobody knows whether it was made.
    """
    if unsure:
        raise OperationFailed(
            f"run {unsure} was cut off or failed while this ran, and nothing tells how far it came",
            step=step,
            remedy=f"look at the host, then --resume with --doubtful {REDO} to do it once more, or {SKIP} to leave it",
        )
    return change


def _chain(run: RunRecord) -> list[RunRecord]:
    """Return the run and those it went on with, oldest first."""
    chain = [run]
    while before := chain[0].resumed.get("run"):
        earlier = RunRecord(run.path.parent / str(before))
        if earlier.plan is None:
            message = f"run {chain[0].run_id} went on with {before}, which is not recorded any more"
            raise InputError([Problem(message=message, file=str(run.path))], remedy="run without --resume")
        chain.insert(0, earlier)
    return chain
