"""A session: plan a playbook over an inventory, then apply the plan. What the CLI uses, and the Python API.

    with Session(inventory=inventory, playbook=playbook, registry=registry) as session:
        plan = session.plan()
        result = session.apply(plan)

It prints nothing: events go to sinks, Plan and RunResult are values.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kubeforge.engine import lock, recording
from kubeforge.engine.entering import entered, tell_unmade
from kubeforge.engine.events import (
    Events,
    Failure,
    HostFacts,
    HostFailed,
    HostWaits,
    PlanReady,
    RunStarted,
    Sink,
    Stopping,
    Warned,
)
from kubeforge.engine.executors import MAX_THREADS, Executor, ThreadExecutor
from kubeforge.engine.facts import gather
from kubeforge.engine.gather import FactsReader, Gathered, Gathering
from kubeforge.engine.interrupt import interruptible
from kubeforge.engine.journal import Journal, filed_under, runs_folder
from kubeforge.engine.model import Context, Task
from kubeforge.engine.notes import settle_all
from kubeforge.engine.plan import Plan
from kubeforge.engine.planner import Planner
from kubeforge.engine.playbook import Play, Playbook, Portion
from kubeforge.engine.playbook_loader import load
from kubeforge.engine.pools import pools_of
from kubeforge.engine.prepared import Prepared, guarded
from kubeforge.engine.program import Parts, compile_host, reads_of
from kubeforge.engine.remotes import ConnectedRemotes, Looking, Remotes
from kubeforge.engine.result import RunResult, done_of, remaining_of
from kubeforge.engine.resume import GoingOn
from kubeforge.engine.roster import Roster, roster
from kubeforge.engine.runner import Runner
from kubeforge.engine.vault import OnceVault
from kubeforge.errors import ChangedUnderneath, KubeforgeError
from kubeforge.inventory.model import Inventory
from kubeforge.spec.paths import BUSY_DEADLINE
from kubeforge.transport.protocol.note import Interruption

if TYPE_CHECKING:
    from kubeforge.artifacts.model import Resolved
    from kubeforge.spec.model import ClusterSpec

__all__ = ["Session", "Supplier"]

Supplier = Callable[[Collection[str]], "Resolved"]
"""Resolves the parts for architectures, Go's spelling; raises ArtifactError."""


class Session:
    """One run over one inventory. A context manager: leaving it closes the connections.

    Args:
        inventory: everybody.
        playbook: what to do; a path is loaded.
        registry: the tasks there are, by name.
        spec: the cluster, where the playbook is about one.
        artifacts: the parts, resolved, where the playbook needs them; or what resolves them, called once with the
            architectures of the hosts when these are known.
        limit: a pattern; only its hosts take part.
        tags: only what they select is done.
        sinks: told about everything that happens.
        variables: over those of plays and hosts.
        forks: hosts worked on at once.
        remotes: where hosts come from; None: connections as the inventory says.
        executor: what runs the hosts; None: threads.
        reader: how facts are had.
        exclusive: whether apply holds the cluster's lock.
        record: whether apply keeps a journal.
        resume: the recorded run to go on with; its hosts alone take part.
        within: these hosts alone take part.
        bulk: at most so many hosts at a time in every play.

    Raises:
        InputError: the playbook has problems, or a pattern or tag selects nothing; see `roster`.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        playbook: Playbook | Path,
        registry: Mapping[str, Task],
        spec: ClusterSpec | None = None,
        artifacts: Resolved | Supplier | None = None,
        limit: str | None = None,
        tags: Sequence[str] = (),
        sinks: Sequence[Sink] = (),
        variables: Mapping[str, Any] | None = None,
        forks: int = MAX_THREADS,
        remotes: Remotes | None = None,
        executor: Executor | None = None,
        reader: FactsReader = gather,
        exclusive: bool = True,
        record: bool = True,
        resume: GoingOn | None = None,
        within: Collection[str] | None = None,
        bulk: Portion | None = None,
    ) -> None:
        book = (playbook if isinstance(playbook, Playbook) else load(playbook, registry)).tagged(tags)
        self.inventory = inventory = entered(inventory, book, variables)
        everybody = roster(book.in_bulks(bulk), inventory, limit, resume.once if resume else None)
        self.who: Roster = everybody.within(resume.hosts if resume else None).within(within)
        self._going_on = resume
        self.registry = registry
        self.spec = spec
        self.artifacts: Resolved | None = None if callable(artifacts) else artifacts
        self._arches: set[str] = set()
        self._supplier = artifacts if callable(artifacts) else None
        self.variables = dict(variables or {})
        self.events = Events(sinks)
        self.run_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        self._remotes = remotes or ConnectedRemotes(inventory)
        self._executor = executor or ThreadExecutor(forks)
        self._looking = Looking(self._remotes)
        self._vault = OnceVault(self._looking.remote)
        self._gathered = Gathered(
            inventory,
            self._looking.remote,
            lambda host: reads_of(self.who, registry, inventory, host),
            reader,
            self._waits,
        )
        self._interrupted: dict[str, Interruption] = {}
        self._stop = threading.Event()
        self._lock, self._record = exclusive, record
        self._planned: tuple[Plan, list[Prepared]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; may be called twice."""
        self._remotes.close()

    def plan(self, *, diff: bool = False) -> Plan:
        """Find out what would be done; changes nothing.

        Args:
            diff: fetch old contents, so that changes carry diffs.

        Returns:
            The plan; hosts that could not be planned are among its failures, all of them.
        """
        began = time.monotonic()
        self.events.emit(self._start("plan"))
        tell_unmade(self.inventory, self.who.playbook, self.events)
        failures = self._gather()
        self.who = self.who.settled({str(failure.host) for failure in failures})
        self._looking.ended()
        self._resolve()
        planner = Planner(
            who=self.who,
            compiled=self._compile,
            connect=self._remotes.remote,
            release=self._looking.release,
            executor=self._executor,
            events=self.events,
            failures=failures,
            going_on=self._going_on,
        )
        prepared = planner.prepare()
        if diff:
            prepared = planner.with_diffs(prepared)
        plan = planner.shown(prepared) if diff else planner.shown(prepared).without_diffs()
        self._planned = plan, prepared
        self._interrupted = planner.interrupted
        changed = len({step.host for step in plan.steps})
        self.events.emit(PlanReady(changes=plan.changes, hosts=changed, seconds=time.monotonic() - began))
        return plan

    def blocked(self, plan: Plan) -> bool:
        """Return whether `apply` would do nothing, as more hosts could not be planned than a play allows to fail."""
        return self.who.blocked({failure.host for failure in plan.failures if failure.host}, plan.away)

    def apply(self, plan: Plan) -> RunResult:
        """Carry out a plan, and nothing that is not in it.

        Args:
            plan: of this session; one from elsewhere is made anew first and must come out the same.

        Returns:
            What was done and what was not; failures are in it, not raised.

        Raises:
            ChangedUnderneath: a plan from elsewhere is not what would be done now.
            Locked: another run works on this cluster.
            ConnectionFailed: no control plane can be reached to hold the lock.
            Interrupted: a second Ctrl-C.
        """
        began = time.monotonic()
        prepared = self._prepared_for(plan)
        runner = Runner(
            who=self.who,
            prepared=prepared,
            connect=self._remotes.remote,
            executor=self._executor,
            events=self.events,
            run_id=self.run_id,
            stop=self._stop,
            failures=list(plan.failures),
            away=plan.away,
            pools=() if self.spec is None else pools_of(self.spec, self.inventory),
        )
        with ExitStack() as stack:
            if journal := self._opened(stack, plan, begins=runner.has_work):
                self.events.add(journal)
                stack.callback(self.events.remove, journal)
            self.events.emit(self._start("apply"))
            if runner.has_work and self._lock:
                runner.permitted = self._held(stack, plan, runner, journal)
            try:
                interruptible(partial(self._carry_out, runner), self._stop, self.events)
            finally:  # also when a second Ctrl-C leaves at once
                result = self._result(runner, began, journal)
        return result

    def record(self, plan: Plan) -> None:
        """Record a plan that is not carried out, as nothing is to do or it is `blocked`; asks no host, tells no sink.

        Raises:
            KubeforgeError: the record cannot be written.
        """
        with ExitStack() as stack:
            if journal := self._opened(stack, plan, begins=False):
                journal(self._start("apply"))
                recording.refused(journal, plan, plan.failures)

    def stop(self) -> None:
        """Stop after what runs now, as the first Ctrl-C does; from any thread."""
        self._stop.set()

    def _opened(self, stack: ExitStack, plan: Plan, *, begins: bool) -> Journal | None:
        """Open the run's journal; it is closed when `stack` is left."""
        if not self._record:
            return None
        hosts = [self.inventory.hosts[name] for name in self.who.everyone]
        about = recording.site(self._cluster, hosts, self.spec, self.who.once, self.who.playbook.place)
        path = runs_folder(self._cluster) / self.run_id
        return stack.enter_context(recording.opened(path, plan, about, going_on=self._going_on, begins=begins))

    def _held(self, stack: ExitStack, plan: Plan, runner: Runner, journal: Journal | None) -> Callable[[], None]:
        """Hold the cluster's lock until `stack` is left; a run that does not get it is recorded as refused."""
        try:
            return partial(stack.enter_context(self._locked(runner.failures)).wait, self._stop)
        except KubeforgeError as error:
            if journal:
                recording.refused(journal, plan, [Failure.of(error), *plan.failures])
            raise

    def _locked(self, failures: list[Failure]) -> AbstractContextManager[lock.RunLock]:
        """Hold the cluster's lock; when it is lost for good that is a failure, and the run stops as by Ctrl-C."""

        def lost(error: KubeforgeError) -> None:
            self._stop.set()
            failures.append(failure := Failure.of(error))
            self.events.emit(HostFailed(host=str(failure.host), failure=failure))
            self.events.emit(Stopping(why="the run's lock is lost: stopping after what runs"))

        def said(host: str, message: str) -> None:
            self.events.emit(Warned(host=host, message=message))

        planes = self.inventory.lock_order or [host.name for host in self.inventory.control_planes]
        hosts = planes or list(self.who.everyone)
        return lock.held(hosts, self._remotes.open_stream, run_id=self.run_id, lost=lost, said=said)

    def _carry_out(self, runner: Runner) -> None:
        runner.run()
        self._settle(runner)
        self._collect(runner)

    def _settle(self, runner: Runner) -> None:
        """End the notes of earlier runs on hosts where nothing is left to do."""
        unsettled = {step.host for step in runner.remaining} | {failure.host for failure in runner.failures}
        left = {host: note for host, note in self._interrupted.items() if host not in unsettled}
        for host, why in settle_all(left, self._remotes.remote):
            self.events.emit(Warned(host=host, message=why))

    def _collect(self, runner: Runner) -> None:
        """Let old generations go where a good run has added one to as many as are kept."""
        from kubeforge.engine.collecting import KEPT, collect_all  # noqa: PLC0415 - for runs that change something

        if runner.failures or runner.remaining or self._stop.is_set():
            return
        known = {host: self._gathered.known(host) for host in runner.changed_hosts}
        full = [host for host, answer in known.items() if answer is None or answer.facts.generations >= KEPT]
        collect_all(full, connect=self._remotes.remote, executor=self._executor, events=self.events, run_id=self.run_id)

    @property
    def _cluster(self) -> str:
        """What the run's record is filed under."""
        return filed_under(self.inventory, self.spec.name if self.spec else None)

    def _start(self, mode: str) -> RunStarted:
        return RunStarted(run_id=self.run_id, mode=mode, playbook=self.who.playbook.name, hosts=self.who.everyone)

    def _gather(self) -> list[Failure]:
        """Ask every host whose facts or reads the plays want, in parallel; return what failed, in inventory order."""
        wanted = dict.fromkeys(
            host
            for play, hosts in zip(self.who.playbook.plays, self.who.hosts, strict=True)
            for host in hosts
            if play.facts
        )
        failures: dict[str, Failure] = {}
        for host, answer in self._executor.each(self._ask, list(wanted)):
            if isinstance(answer, Failure):
                failures[host] = answer
                self.events.emit(HostFailed(host=host, failure=answer))
            else:
                self._arches.add(answer.facts.arch)
                self.events.emit(HostFacts(host=host, about=answer.facts.about, seconds=answer.seconds))
        return [failures[host] for host in wanted if host in failures]

    def _resolve(self) -> None:
        """Get the parts for the architectures there are; none where no host answered."""
        if self._supplier is not None and self.artifacts is None and self._arches:
            self.artifacts = self._supplier(sorted(self._arches))

    def _waits(self, host: str, what: str) -> None:
        self.events.emit(HostWaits(host=host, message=what, limit=BUSY_DEADLINE))

    def _ask(self, host: str) -> Gathering | Failure:
        try:
            return self._gathered.of(host)
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return guarded(error, host=host, step="facts")

    def _compile(self, host: str) -> Parts | Failure:
        plays = ((number, play, self._context(host, play)) for number, play in self.who.plays_of(host))
        return compile_host(plays, self.registry, file=self.who.playbook.file, variables=self.variables)

    def _context(self, host: str, play: Play) -> Context:
        return Context(
            host=self.inventory.hosts[host],
            inventory=self.inventory,
            facts=self._gathered.facts,
            seen=self._gathered.seen,
            vault=self._vault,
            spec=self.spec,
            artifacts=self.artifacts,
            vars={**play.vars, **self.variables},
            folder=Path(self.who.playbook.file).parent if self.who.playbook.file else None,
        )

    def _prepared_for(self, plan: Plan) -> list[Prepared]:
        own = self._planned is not None and self._planned[0] is plan
        if not own and self.plan().without_diffs().steps != plan.without_diffs().steps:
            raise ChangedUnderneath(
                "what would be done now is not what the given plan says; nothing was done",
                step=plan.playbook,
                remedy="make a new plan and look at it",
            )
        assert self._planned is not None
        return self._planned[1]

    def _result(self, runner: Runner, began: float, journal: Journal | None) -> RunResult:
        remaining = remaining_of(runner.remaining, runner.made_of, [play.name for play in self.who.playbook.plays])
        result = RunResult(
            run_id=self.run_id,
            done=done_of(runner.done),
            remaining=remaining,
            failures=tuple(runner.failures),
            plays=tuple(runner.times),
            seconds=time.monotonic() - began,
            interrupted=runner.stop.is_set() and bool(remaining),
            journal=str(journal.path) if journal else None,
        )
        if journal:
            journal.write("result", result.to_data())
            if journal.broken:
                self.events.emit(Warned(host=None, message=f"{journal.path} is not whole: {journal.broken}"))
        self.events.emit(recording.ended(result))
        return result
