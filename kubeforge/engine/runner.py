"""Walks a plan: play by play, batch of hosts by batch, each host through its steps. Decides nothing about hosts.

A host that fails drops out: its later steps are not begun. A play whose failed hosts exceed its limit ends the run;
hosts that have begun the play end it, hosts that have not are not begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kubeforge.engine.carry_out import Done, StepOutcome, carry_out
from kubeforge.engine.events import (
    ChangeDone,
    Events,
    Failure,
    HostDone,
    PlayDone,
    PlayStarted,
    StepDone,
    StepFailed,
    StepStarted,
    Stopping,
)
from kubeforge.engine.executors import Executor
from kubeforge.engine.playbook import Pool
from kubeforge.engine.prepared import Prepared, guarded
from kubeforge.engine.program import ActionStep
from kubeforge.engine.result import PlayTime
from kubeforge.engine.roster import Roster
from kubeforge.errors import Interrupted
from kubeforge.transport.base import Remote

__all__ = ["Runner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """One host's way through one play: a job of the executor, and with the rest filled its outcome."""

    host: str
    play: int
    steps: tuple[Prepared, ...]
    changed: frozenset[str] = frozenset()
    done: tuple[Done, ...] = ()
    remaining: tuple[Prepared, ...] = ()
    partly: frozenset[str] = frozenset()
    failure: Failure | None = None


@dataclass(slots=True, kw_only=True)
class Runner:
    """Carries out prepared steps.

    Args:
        who: plays and their hosts.
        prepared: the plan's steps, in its order.
        connect: host name -> Remote.
        executor: runs the hosts.
        events: told everything.
        run_id: names the run on the hosts.
        stop: set by Ctrl-C, or when the lock is lost for good: nothing further is begun.
        permitted: called before each step; returns when it may begin, or `stop` is set.
        failures: hosts that could not be planned; more are added.
        away: those of them that could not be reached.
        pools: of hosts, for plays that go by group.
    """

    who: Roster
    prepared: Sequence[Prepared]
    connect: Callable[[str], Remote]
    executor: Executor
    events: Events
    run_id: str
    stop: threading.Event
    permitted: Callable[[], None] = lambda: None
    failures: list[Failure] = field(default_factory=list)
    away: frozenset[str] = frozenset()
    pools: Sequence[Pool] = ()
    done: list[tuple[str, Done]] = field(default_factory=list)
    times: list[PlayTime] = field(default_factory=list)
    _batch: tuple[str, ...] = ()
    _finished: set[int] = field(default_factory=set)
    _partly: dict[int, frozenset[str]] = field(default_factory=dict)
    _changed: dict[str, set[str]] = field(default_factory=dict)
    _acted: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Walk all plays, as far as failures and Ctrl-C let it."""
        if not self.has_work:
            return
        for number, play in enumerate(self.who.playbook.plays):
            self._batch = ()
            if self.stop.is_set():
                break
            if self._over_limit(number):
                if any(item.play >= number and item.host not in self._failed for item in self.prepared):
                    why = f"{play.name} is not begun: more of its hosts have failed than it allows"
                    self.events.emit(Stopping(why=why))
                break
            mine = self._steps_of(number)
            if not mine:
                continue
            began = time.monotonic()
            self.events.emit(PlayStarted(play=play.name, hosts=tuple(mine)))
            for batch in play.batches(list(mine), everyone=self.who.hosts[number], pools=self.pools):
                self._batch = batch
                self._run_batch(number, {host: mine[host] for host in batch if host not in self._failed})
                if self.stop.is_set() or self._over_limit(number):
                    break
            seconds = time.monotonic() - began
            self.times.append(PlayTime(play=play.name, seconds=seconds, hosts=len(mine)))
            self.events.emit(PlayDone(play=play.name, seconds=seconds))
            if self._over_limit(number):
                break

    @property
    def has_work(self) -> bool:
        """Whether anything would be done: not where too many hosts could not even be planned."""
        return bool(self.prepared) and not self.who.blocked(self._failed, self.away)

    @property
    def remaining(self) -> list[Prepared]:
        """Steps that were not, or not wholly, carried out."""
        return [item for item in self.prepared if id(item) not in self._finished]

    def made_of(self, step: Prepared) -> frozenset[str]:
        """Return the titles of the changes that a step of `remaining` had made before it failed."""
        return self._partly.get(id(step), frozenset())

    @property
    def changed_hosts(self) -> list[str]:
        """Hosts that may keep a generation of this run: an action, too, may act by operations of its own."""
        return list(dict.fromkeys(host for host, _ in self.done))

    @property
    def _failed(self) -> set[str]:
        return {failure.host for failure in self.failures if failure.host}

    def _over_limit(self, number: int) -> bool:
        """Whether more of a play's hosts, or of the batch that was last, have failed than it allows."""
        return self.who.over_limit(number, self._failed, self.away, batch=self._batch)

    def _steps_of(self, number: int) -> dict[str, tuple[Prepared, ...]]:
        steps: dict[str, tuple[Prepared, ...]] = {}
        for item in self.prepared:
            if item.play == number and item.host not in self._failed:
                steps[item.host] = (*steps.get(item.host, ()), item)
        return steps

    def _run_batch(self, number: int, mine: dict[str, tuple[Prepared, ...]]) -> None:
        walks = [
            _Walk(host=host, play=number, steps=steps, changed=frozenset(self._changed.get(host, ())))
            for host, steps in mine.items()
        ]
        for _, walk in self.executor.each(self._walk, walks, stop=lambda: self._halted(number)):
            before = self._halted(number)
            self._take(walk)
            if self._halted(number) and not before:
                self.events.emit(Stopping(why="more hosts have failed than the play allows"))

    def _halted(self, number: int) -> bool:
        return self.stop.is_set() or self._over_limit(number)

    def _take(self, walk: _Walk) -> None:
        """Keep what a host's walk came to."""
        self.done += [(walk.host, done) for done in walk.done]
        self._changed.setdefault(walk.host, set()).update(done.change.title for done in walk.done)
        self._partly |= {id(item): walk.partly for item in walk.remaining[:1]}
        left = {id(item) for item in walk.remaining}
        self._finished |= {id(item) for item in walk.steps} - left
        if walk.failure is not None:
            self.failures.append(walk.failure)

    def _walk(self, walk: _Walk) -> _Walk:
        """Take one host through one play; raises nothing."""
        began = time.monotonic()
        for position, step in enumerate(walk.steps):
            self.permitted()
            if self.stop.is_set():
                return replace(walk, remaining=walk.steps[position:])
            outcome = self._step(walk, step)
            walk = replace(
                walk,
                done=(*walk.done, *outcome.done),
                changed=walk.changed | {each.change.title for each in outcome.done},
            )
            if outcome.error is not None:
                stopped = isinstance(outcome.error, Interrupted)
                failure = None if stopped else guarded(outcome.error, host=walk.host, step=step.step.title)
                partly = frozenset(each.change.title for each in outcome.done)
                return replace(walk, remaining=walk.steps[position:], partly=partly, failure=failure)
        self.events.emit(HostDone(host=walk.host, play=self._play(walk), seconds=time.monotonic() - began))
        return walk

    def _play(self, walk: _Walk) -> str:
        return self.who.playbook.plays[walk.play].name

    def _step(self, walk: _Walk, step: Prepared) -> StepOutcome:
        """Carry out one step and tell about it; raises nothing."""
        began = time.monotonic()
        host, play, title = walk.host, self._play(walk), step.step.title
        self.events.emit(StepStarted(host=host, play=play, step=title, changes=len(step.changes)))
        outcome = self._carried_out(walk, step)
        for done in outcome.done:
            change = done.change
            self.events.emit(
                ChangeDone(
                    host=host,
                    play=play,
                    step=title,
                    title=change.title,
                    verb=str(change.verb),
                    why=change.why,
                    seconds=done.seconds,
                    every_run=change.every_run,
                )
            )
        if outcome.error is None:
            seconds = time.monotonic() - began
            self.events.emit(StepDone(host=host, play=play, step=title, changes=len(outcome.done), seconds=seconds))
        elif not isinstance(outcome.error, Interrupted):
            failure = guarded(outcome.error, host=host, step=title)
            self.events.emit(StepFailed(host=host, play=play, step=title, failure=failure))
        return outcome

    def _carried_out(self, walk: _Walk, step: Prepared) -> StepOutcome:
        untouched = not walk.changed and not self._acted.is_set()
        if isinstance(step.step, ActionStep):
            self._acted.set()
        try:
            return carry_out(
                step,
                connect=self.connect,
                events=self.events,
                stopping=self.stop.is_set,
                run_id=self.run_id,
                changed=walk.changed,
                untouched=untouched,
            )
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return StepOutcome(error=error)
