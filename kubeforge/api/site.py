"""An inventory, and what a script can do with it."""

# ruff: noqa: PLC0415 - a script pays for what it uses
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from kubeforge.api.reader import Reader
    from kubeforge.cluster.status.model import ClusterStatus
    from kubeforge.engine.events import Event, Failure
    from kubeforge.engine.memory import MemoryRemotes
    from kubeforge.engine.model import Facts, Task
    from kubeforge.engine.plan import Plan
    from kubeforge.engine.remotes import Remotes
    from kubeforge.engine.result import RunResult
    from kubeforge.engine.resume import GoingOn
    from kubeforge.engine.run import Session
    from kubeforge.inventory.model import Host, Inventory
    from kubeforge.secret import Secret
    from kubeforge.spec.model import ClusterSpec
    from kubeforge.transport.memory import MemoryHost

__all__ = ["Answer", "Run", "Site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command came to on one host.

    Args:
        host: inventory name.
        status: exit status; None where it did not run.
        stdout: what it printed.
        stderr: likewise.
        failure: why it did not run, or how it was cut off.
    """

    host: str
    status: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.status == 0

    @property
    def text(self) -> str:
        """What it printed, as text without the last newline."""
        return self.stdout.decode("utf-8", "replace").removesuffix("\n")


@dataclass(frozen=True, kw_only=True)
class Site:
    """An inventory, and what can be done with it. Made by `load`.

    Args:
        inventory: everybody.
        path: where it lies.
        reader: reads it anew.
        own_tasks: functions marked with `@task`.
        memory: hosts in memory by name; where there are any, no other host is reached.
    """

    inventory: Inventory
    path: Path
    reader: Reader = field(repr=False)
    own_tasks: tuple[Callable[..., Any], ...] = field(default=(), repr=False)
    memory: Mapping[str, MemoryHost] = field(default_factory=dict, repr=False)

    @cached_property
    def cluster(self) -> ClusterSpec:
        """What cluster.yml says.

        Raises:
            InputError: there is none, or it has problems; all of them.
        """
        from kubeforge.spec.loader import examine

        examined = examine(self.path, self.inventory)
        if examined.spec is None:
            from kubeforge.errors import InputError

            raise InputError([problem for problem in examined.problems if not problem.warning])
        return examined.spec

    @property
    def has_cluster(self) -> bool:
        """Whether there is a cluster.yml, right or wrong."""
        from kubeforge.spec.loader import locate

        return locate(self.path).is_file()

    def hosts(self, pattern: str = "all") -> tuple[Host, ...]:
        """Return the hosts of a pattern, in inventory order.

        Raises:
            InputError: it names nobody.
        """
        from kubeforge.inventory.patterns import select

        return tuple(select(self.inventory, pattern))

    def open(
        self,
        playbook: Path | str,
        *,
        limit: str | None = None,
        tags: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        forks: int | None = None,
        on_event: Callable[[Event], None] | None = None,
        exclusive: bool = True,
        record: bool = True,
        resume: str | None = None,
    ) -> Run:
        """Open a run of a playbook; no host is asked yet. A context manager: leaving it closes the connections.

        Args:
            playbook: a file, or the name of one that kubeforge ships (`apply`).
            limit: a pattern; only its hosts take part.
            tags: only what they select.
            variables: over those of plays and hosts.
            forks: hosts worked on at once.
            on_event: told everything that happens, from any thread, one event at a time.
            exclusive: whether apply holds the cluster's lock.
            record: whether apply keeps a record (`kubeforge runs`).
            resume: the recorded run to go on with: `last`, or its name.

        Raises:
            InputError: playbook, variables beside it, pattern, tags or cluster.yml have problems.
        """
        from kubeforge.engine.executors import MAX_THREADS

        spec = self.cluster if self.has_cluster else None
        book = _file(playbook)
        return self._opened(
            spec,
            inventory=self._seen_by(book),
            playbook=book,
            registry=self._registered(book),
            limit=limit,
            tags=tags,
            variables={**self.reader.variables, **(variables or {})},
            forks=forks or MAX_THREADS,
            sinks=[on_event] if on_event else [],
            exclusive=exclusive and not self.memory,
            record=record and not self.memory,
            resume=self._recorded(resume, book, spec) if resume else None,
        )

    def _seen_by(self, book: Path) -> Inventory:
        """Return the inventory as a playbook sees it, whose group_vars/ and host_vars/ count, too."""
        from kubeforge.inventory.vars_files import any_beside

        return self.reader.read(playbook_folder=book.parent) if any_beside(book.parent) else self.inventory

    def _opened(self, spec: ClusterSpec | None, **given: Any) -> Run:
        from kubeforge.engine.run import Session

        reached = self._reached(spec)
        return Run(Session(spec=spec, **reached, **given))

    def command(
        self,
        pattern: str,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,
        forks: int | None = None,
    ) -> dict[str, Answer]:
        """Run one command on every host of a pattern, side by side.

        Args:
            pattern: which hosts.
            argv: the command and its arguments, quoted here; never a secret.
            stdin: what it reads.
            deadline: seconds.
            forks: hosts at once.

        Returns:
            Host -> answer, in inventory order; a host that cannot be entered has a failure.

        Raises:
            InputError: the pattern names nobody.
        """

        def ask(remotes: Remotes, host: str) -> Answer:
            done = remotes.remote(host).run(tuple(argv), stdin=stdin, deadline=deadline, expect=range(256))
            return Answer(host=host, status=done.status, stdout=done.stdout, stderr=done.stderr)

        answers = self._asked(pattern, ask, forks, "command")
        return {host: one if isinstance(one, Answer) else Answer(host=host, failure=one) for host, one in answers}

    def facts(self, pattern: str = "all", *, forks: int | None = None) -> dict[str, Facts | Failure]:
        """Return what the hosts of a pattern are; a host that cannot be asked has its failure in place of facts.

        Raises:
            InputError: the pattern names nobody.
        """
        from kubeforge.engine.facts import gather
        from kubeforge.operations.model import Queries

        reader = self._in_memory().read if self.memory else gather

        def ask(remotes: Remotes, host: str) -> Facts:
            return reader(remotes.remote(host), Queries(), lambda _: None)[0]

        return dict(self._asked(pattern, ask, forks, "facts"))

    def by_facts(self) -> Site:
        """Return the site with the groups that facts make; not part of what is stable: see `load`.

        Raises:
            ConnectionFailed: hosts do not answer.
        """
        from kubeforge.engine.events import Failure
        from kubeforge.engine.fact_variables import fact_variables
        from kubeforge.errors import ConnectionFailed

        answers = self.facts(",".join(self.inventory.wants_facts))
        silent = [f"{host}: {one.cause}" for host, one in answers.items() if isinstance(one, Failure)]
        if silent:
            raise ConnectionFailed("hosts do not tell what they are, and facts make groups here", evidence=silent)
        told = {host: fact_variables(one) for host, one in answers.items() if not isinstance(one, Failure)}
        reader = replace(self.reader, facts=told)
        return replace(self, reader=reader, inventory=reader.read())

    def status(self) -> ClusterStatus:
        """Return what the cluster is like now.

        Raises:
            InputError: cluster.yml has problems, or there is none.
        """
        from kubeforge.cluster.status.look import look

        with ExitStack() as stack:
            remotes = self._remotes()
            stack.callback(remotes.close)
            return look(self.inventory, self.cluster, remotes.remote)

    def _asked(
        self, pattern: str, ask: Callable[[Remotes, str], Any], forks: int | None, step: str
    ) -> list[tuple[str, Any]]:
        from kubeforge.engine.executors import MAX_THREADS, ThreadExecutor
        from kubeforge.engine.prepared import guarded

        names = [host.name for host in self.hosts(pattern)]
        remotes = self._remotes()

        def one(host: str) -> Any:
            try:
                return ask(remotes, host)
            except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
                return guarded(error, host=host, step=step)

        try:
            answers = dict(ThreadExecutor(forks or MAX_THREADS).each(one, names))
        finally:
            remotes.close()
        return [(name, answers[name]) for name in names]

    def _recorded(self, run: str, playbook: Path, spec: ClusterSpec | None) -> GoingOn:
        from kubeforge.engine.journal import filed_under, runs_folder
        from kubeforge.engine.resume import GoingOn, chosen
        from kubeforge.resources import playbooks

        folder = runs_folder(filed_under(self.inventory, spec.name if spec else None))
        own = "" if playbook.resolve().parent == playbooks().resolve() else str(playbook.absolute())
        return GoingOn(chosen(folder, run, playbook.stem, file=own))

    def _reached(self, spec: ClusterSpec | None) -> dict[str, Any]:
        """Return the arguments of a session that say how hosts are reached and what is put on them."""
        if self.memory:
            memory = self._in_memory()
            return {"remotes": memory, "reader": memory.read}
        return {"artifacts": _parts(spec, self.path)} if spec is not None else {}

    def _remotes(self) -> Remotes:
        from kubeforge.engine.remotes import ConnectedRemotes

        return self._in_memory() if self.memory else ConnectedRemotes(self.inventory)

    def _in_memory(self) -> MemoryRemotes:
        from kubeforge.engine.memory import MemoryRemotes

        return MemoryRemotes(self.memory)

    def _registered(self, playbook: Path) -> Mapping[str, Task]:
        """Return the tasks there are: those that are shipped, those beside the playbook, and the script's own."""
        from kubeforge.tasks.beside import registry_for
        from kubeforge.tasks.registry import TASK_ATTRIBUTE

        known = registry_for(playbook)
        marked = [getattr(function, TASK_ATTRIBUTE, None) for function in self.own_tasks]
        own = {mark.name: mark for mark in marked if mark is not None}
        return {**known, **own} if own else known


class Run:
    """One run of a playbook; made by `Site.open`.

    Args:
        session: the engine's; not part of what is stable.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def run_id(self) -> str:
        """Names it in the record and on the hosts."""
        return self._session.run_id

    def plan(self, *, diff: bool = False) -> Plan:
        """Find out what would be done; changes nothing. Hosts that could not be planned are among its failures."""
        return self._session.plan(diff=diff)

    def apply(self, plan: Plan | None = None) -> RunResult:
        """Carry out a plan and nothing that is not in it; None: one made now.

        Raises:
            Locked: another run works on this cluster.
            ChangedUnderneath: a plan of another run is not what would be done now.
        """
        return self._session.apply(plan if plan is not None else self._session.plan())

    def stop(self) -> None:
        """Stop after what runs now; from any thread."""
        self._session.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()


def _file(playbook: Path | str) -> Path:
    """Return a playbook's file; a word without a suffix names a shipped one."""
    from kubeforge.resources import playbook as shipped

    return Path(playbook) if isinstance(playbook, Path) or Path(playbook).suffix else shipped(playbook)


def _parts(spec: ClusterSpec, path: Path) -> Any:
    from kubeforge.artifacts.model import silent
    from kubeforge.cli.session import supplier

    return supplier(spec, path, silent)
