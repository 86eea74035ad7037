"""Makes the plan: observes each host once, decides all its operations on that, asks its actions what they would do.

Plays are planned in their order, as a later action may ask whether anything is pending. What a change will leave behind
lies over what was observed, so that the plan of a bare host is true. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.diffing import with_diffs
from kubeforge.engine.events import Events, Failure, HostFailed, Warned
from kubeforge.engine.executors import Executor
from kubeforge.engine.notes import owed
from kubeforge.engine.plan import Plan, PlannedRemark, PlannedSaying
from kubeforge.engine.prepared import Prepared, guarded
from kubeforge.engine.program import ActionStep, Batch, Parts, Step
from kubeforge.engine.resume import GoingOn
from kubeforge.engine.roster import Roster
from kubeforge.operations.model import Change, Observation, Queries, fold
from kubeforge.spec import paths
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.note import Interruption, interrupted_in

__all__ = ["Planner", "queries_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One host's part of one play: a job of the executor, the rest from `prepared` on is its outcome."""

    host: str
    play: int
    steps: tuple[Step, ...]
    expected: Observation
    pending: bool
    prepared: tuple[Prepared, ...] = ()
    remarks: tuple[PlannedRemark, ...] = ()
    said: tuple[PlannedSaying, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """Collects what the actions of one part warn of and tell."""

    remarks: list[PlannedRemark] = field(default_factory=list)
    said: list[PlannedSaying] = field(default_factory=list)

    def remark(self, step: ActionStep, text: str, details: Mapping[str, str]) -> None:
        """Keep a warning."""
        host = step.context.whose.name
        self.remarks.append(PlannedRemark(host=host, task=step.task, text=text, details=details))

    def message(self, step: ActionStep, text: str) -> None:
        """Keep any other message."""
        self.said.append(PlannedSaying(host=step.context.whose.name, step=step.title, text=text))


def queries_of(parts: Parts) -> Queries:
    """Return everything that must be seen on a host to decide all its operations, and its note of the last act."""
    asked = [step.queries for steps in parts.values() for step in steps if isinstance(step, Batch)]
    return Queries.merge([*asked, Queries(reads=(paths.RUN_NOTE,))]) if asked else Queries()


@dataclass(slots=True, kw_only=True)
class Planner:
    """Plans one run.

    Args:
        who: plays and their hosts.
        compiled: host -> its steps, or why its tasks could not be asked; called once, on any thread.
        connect: host name -> Remote.
        release: told each host on which nothing has to be done, as soon as that is known.
        executor: runs the hosts.
        events: told about hosts that fail.
        failures: hosts that failed before; more are added.
        interrupted: found while planning: hosts whose last act did not come to its good end.
        going_on: the recorded run that this one goes on with.
        remarks: found while planning: what actions warn of.
        said: and what they tell besides.
    """

    who: Roster
    compiled: Callable[[str], Parts | Failure]
    connect: Callable[[str], Remote]
    release: Callable[[str], None]
    executor: Executor
    events: Events
    failures: list[Failure] = field(default_factory=list)
    interrupted: dict[str, Interruption] = field(default_factory=dict)
    going_on: GoingOn | None = None
    remarks: list[PlannedRemark] = field(default_factory=list)
    said: list[PlannedSaying] = field(default_factory=list)
    _parts: dict[str, Parts] = field(default_factory=dict)
    _elsewhere: dict[str, dict[str, Observation]] = field(default_factory=dict)  # whose turn -> where -> what will hold

    def prepare(self) -> list[Prepared]:
        """Return the steps that have something to do, with what carrying them out needs, in the plan's order."""
        expected = self._observe()
        prepared: list[Prepared] = []
        for number in range(len(self.who.playbook.plays)):
            for part in self._plan_play(number, expected, pending=bool(prepared)):
                prepared += part.prepared
                self.remarks += part.remarks
                self.said += part.said
                if part.failure is None:
                    expected[part.host] = part.expected
                else:
                    del expected[part.host]
                    self._failed(part.host, part.failure)
        return self._without_failed(prepared)

    def with_diffs(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Return the steps with diffs on their changes; one more round trip per host with changes."""
        done, failures = with_diffs(prepared, self.connect, self.executor)
        for failure in failures:
            self._failed(str(failure.host), failure)
        return self._without_failed(done)

    def _without_failed(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        failed = {failure.host for failure in self.failures}
        return [item for item in prepared if item.host not in failed]

    def _failed(self, host: str, failure: Failure) -> None:
        self.failures.append(failure)
        self.events.emit(HostFailed(host=host, failure=failure))

    def _observe(self) -> dict[str, Observation]:
        """Ask every host's tasks, then the host; one round trip each, none where nothing is asked."""
        left = {failure.host for failure in self.failures}
        jobs = [host for host in self.who.everyone if host not in left]
        answers = dict(self.executor.each(self._look, jobs))
        expected = {}
        for host in jobs:
            answer = answers[host]
            if isinstance(answer, Failure):
                self._failed(host, answer)
            else:
                self._parts[host], expected[host] = answer
        return expected

    def _look(self, host: str) -> tuple[Parts, Observation] | Failure:
        parts = self.compiled(host)
        if isinstance(parts, Failure):
            return parts
        try:
            queries, names = queries_of(parts), [play.name for play in self.who.playbook.plays]
            traces = self.going_on.traces(host, parts, names) if self.going_on else Queries()
            asked = Queries.merge([queries, traces]) if traces else queries
            found = self.connect(host).observe(asked) if asked else Observation()
            if self.going_on is not None:
                parts = self.going_on.parts(host, parts, found, names)
            if not queries:
                return parts, found
            seen = self._with_note(host, found)
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return guarded(error, host=host, step="observe")
        if not self._is_as_wanted(host, parts, seen):
            return parts, seen
        self.release(host)
        return {}, Observation()

    def _is_as_wanted(self, host: str, parts: Parts, seen: Observation) -> bool:
        """Whether nothing has to be done there, whatever others do: so a thousand such hosts are not kept in memory."""
        if any(isinstance(step, ActionStep) for steps in parts.values() for step in steps):
            return False
        plays = (_Part(host=host, play=play, steps=parts[play], expected=seen, pending=False) for play in parts)
        return all(part.failure is None and not part.prepared for part in map(self._plan_part, plays))

    def _with_note(self, host: str, seen: Observation) -> Observation:
        """Tell of an earlier run that did not end well; what may still be owed for its changes counts as changed."""
        left = interrupted_in(seen)
        if left is None:
            return seen
        self.interrupted[host] = left
        self.events.emit(Warned(host=host, message=f"{left}; this plan goes on from what is there now"))
        if self.going_on is not None and left.run_id in self.going_on.runs:
            return seen  # its record says better who has heard of what
        return replace(seen, changed=seen.changed | owed(left))

    def _plan_play(self, number: int, expected: Mapping[str, Observation], *, pending: bool) -> list[_Part]:
        """Plan one play on all its hosts; on threads only where an action may have to ask somebody."""
        parts = [
            _Part(host=host, play=number, steps=steps, expected=expected[host], pending=pending)
            for host in self.who.hosts[number]
            if host in expected and (steps := self._parts[host].get(number, ()))
        ]
        talking = [part for part in parts if any(isinstance(step, ActionStep) for step in part.steps)]
        talkers = {part.host for part in talking}
        done = {part.host: self._plan_part(part) for part in parts if part.host not in talkers}
        done |= {job.host: part for job, part in self.executor.each(self._plan_part, talking)}
        return [done[part.host] for part in parts]

    def _plan_part(self, part: _Part) -> _Part:
        prepared: list[Prepared] = []
        heard = _Heard()
        expected = part.expected
        step_title = ""
        try:
            for step in part.steps:
                step_title = step.title
                pending = part.pending or bool(prepared)
                changes, after = self._decide(step, expected, heard, pending=pending)
                if changes:
                    prepared.append(
                        Prepared(
                            host=part.host,
                            play=part.play,
                            step=step,
                            changes=tuple(changes),
                            expected=expected,
                            pending=pending,
                        )
                    )
                expected = after
            failure = None
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            failure = guarded(error, host=part.host, step=step_title)
        return _Part(
            host=part.host,
            play=part.play,
            steps=part.steps,
            expected=expected,
            pending=part.pending,
            prepared=tuple(prepared) if failure is None else (),
            remarks=tuple(heard.remarks),
            said=tuple(heard.said),
            failure=failure,
        )

    def _decide(
        self, step: Step, expected: Observation, heard: _Heard, *, pending: bool
    ) -> tuple[Sequence[Change], Observation]:
        """Return what a step changes and what holds afterwards; `heard` is told what it says."""
        if isinstance(step, Batch):
            return fold(step.operations, expected)
        turn = step.context.whose.name
        there = self._elsewhere.setdefault(turn, {})
        conversation = Conversation(
            elsewhere=there,
            context=step.context,
            title=step.title,
            expected=expected,
            pending=pending,
            connect=self.connect,
            events=self.events,
            stopping=lambda: False,
            remarked=lambda text, details: heard.remark(step, text, details),
            heard=lambda text: heard.message(step, text),
        )
        changes = step.action.plan(conversation)
        is_here = step.place == turn
        for change in changes:  # what holds on another host says nothing of this one
            expected = expected.after(change if is_here else replace(change, effect=Observation()))
            if not is_here:
                there[step.place] = there.get(step.place, Observation()).after(change)
        return changes, expected

    def shown(self, prepared: Sequence[Prepared]) -> Plan:
        """Return the steps as a plan."""
        names = tuple(play.name for play in self.who.playbook.plays)
        return Plan(
            playbook=self.who.playbook.name,
            hosts=self.who.everyone,
            plays=names,
            steps=tuple(item.shown(names[item.play]) for item in prepared),
            failures=tuple(self.failures),
            remarks=tuple(self.remarks),
            said=tuple(self.said),
        )
