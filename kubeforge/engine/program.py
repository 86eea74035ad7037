"""Compiles a playbook for hosts: tasks are asked, their operations and actions come out in order. Asks no host itself.

Consecutive operations of one play on one host form one batch, whichever tasks they come from; an action stands alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kubeforge.engine.arguments import filled
from kubeforge.engine.events import Failure
from kubeforge.engine.model import Action, Context, Task
from kubeforge.engine.playbook import Play, Playbook, TaskCall, suggestion
from kubeforge.errors import InputError, KubeforgeError, Problem
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS, Host, Inventory
from kubeforge.inventory.patterns import select
from kubeforge.operations.model import Operation, Queries

__all__ = ["ActionStep", "Batch", "Parts", "Roster", "Step", "compile_host", "fault", "reads_of", "roster"]

CLUSTER = "cluster"
"""A group that every inventory has: control planes, etcd members and workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Operations that are observed, decided and acted on together.

    Args:
        operations: in order.
        tasks: title of each operation -> the task it comes from.
    """

    operations: tuple[Operation, ...]
    tasks: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The tasks, in order."""
        return ", ".join(dict.fromkeys(self.tasks.values()))

    @property
    def queries(self) -> Queries:
        """Everything that must be seen to decide."""
        return Queries.merge(operation.observe() for operation in self.operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStep:
    """One action.

    Args:
        action: as its task made it.
        task: the task's name.
        context: what the task was given.
    """

    action: Action
    task: str
    context: Context

    @property
    def title(self) -> str:
        """The action's own title."""
        return self.action.title


Step = Batch | ActionStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who takes part in what.

    Args:
        playbook: the selected plays.
        hosts: for each play its hosts, in inventory order.
    """

    playbook: Playbook
    hosts: tuple[tuple[str, ...], ...]

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every host that takes part, in the order of first appearance."""
        return tuple(dict.fromkeys(name for names in self.hosts for name in names))

    def over_limit(self, number: int, failed: Collection[str], away: Collection[str] = ()) -> bool:
        """Return whether more of a play's hosts have failed than it allows.

        Args:
            number: of the play.
            failed: all hosts that have.
            away: those of them that could not be reached when the run was planned.
        """
        hosts, play = self.hosts[number], self.playbook.plays[number]
        counted = set(failed) - set(away) if play.ignore_unreachable else set(failed)
        return len(counted & set(hosts)) > play.max_failures.limit(len(hosts))

    def blocked(self, failed: Collection[str], away: Collection[str] = ()) -> bool:
        """Return whether so many hosts could not be planned that nothing may begin; see `over_limit`."""
        return any(self.over_limit(number, failed, away) for number in range(len(self.hosts)))

    def plays_of(self, host: str) -> Iterator[tuple[int, Play]]:
        """Yield the number and the play of each play that `host` takes part in."""
        for number, (play, names) in enumerate(zip(self.playbook.plays, self.hosts, strict=True)):
            if host in names:
                yield number, play


def roster(playbook: Playbook, inventory: Inventory, limit: str | None = None) -> Roster:
    """Find the hosts of every play.

    Args:
        playbook: already cut down to the wanted tags.
        inventory: who there is.
        limit: a pattern; only its hosts take part.

    Raises:
        InputError: a pattern names a host or group that is not there; `limit` selects nobody.
    """
    problems: list[Problem] = []
    within = _names(limit, inventory, problems, Problem(message="", field="--limit")) if limit else None
    hosts = []
    for play in playbook.plays:
        names = _names(play.hosts, inventory, problems, Problem(message="", file=playbook.file, line=play.line))
        if play.reverse:
            names.reverse()
        if play.run_once:
            names = names[:1]
        hosts.append(tuple(name for name in names if within is None or name in within))
    if problems:
        raise InputError(problems)
    if within is not None and not any(hosts):
        message = f"selects no host of {playbook.name}{suggestion(str(limit), list(inventory.hosts))}"
        raise InputError([Problem(message=message, field="--limit")])
    return Roster(playbook=playbook, hosts=tuple(hosts))


def _with_roles(inventory: Inventory) -> Inventory:
    """Return the inventory with the groups that playbooks may always name, whether it has such hosts or not."""
    roles = {
        CONTROL_PLANE: (),
        WORKERS: (),
        LOAD_BALANCERS: (),
        ETCD: tuple(host.name for host in inventory.etcd_members),
        CLUSTER: tuple(host.name for host in inventory.cluster),
    }
    return replace(inventory, groups={**roles, **inventory.groups})


def _names(pattern: str, inventory: Inventory, problems: list[Problem], place: Problem) -> list[str]:
    try:
        return [host.name for host in select(_with_roles(inventory), pattern, may_be_empty=True)]
    except InputError as error:
        problems += [
            Problem(message=problem.message, file=place.file, line=place.line, field=place.field or "hosts")
            for problem in error.problems
        ]
        return []


def reads_of(who: Roster, registry: Mapping[str, Task], inventory: Inventory, host: Host) -> Queries:
    """Return what the tasks want to see on `host` beforehand.

    A task may look at any host (a worker's at the first control plane), so all tasks of the playbook are asked.
    """
    calls = dict.fromkeys(call.name for play in who.playbook.plays for call in play.tasks)
    readers = (registry[name].reads for name in calls)
    return Queries.merge(reads(inventory, host) for reads in readers if reads is not None)


Parts = Mapping[int, tuple[Step, ...]]


def compile_host(plays: Iterable[tuple[int, Play, Context]], registry: Mapping[str, Task]) -> Parts | Failure:
    """Ask all tasks of one host.

    Args:
        plays: number, play and context of each play the host takes part in.
        registry: the tasks by name.

    Returns:
        Number of a play -> its steps on this host; or why a task could not be asked.
    """
    compiler = _Compiler(registry)
    host = None
    try:
        parts = {}
        for number, play, context in plays:
            host = context.host.name
            parts[number] = tuple(compiler.steps(play, context))
        return parts
    except KubeforgeError as error:
        return Failure.of(error, host=host, step=compiler.asking)
    except Exception as error:  # noqa: BLE001 - tasks are also users' code: their fault is reported, not a traceback
        return Failure.of(fault(error), host=host, step=compiler.asking)


class _Compiler:
    """Asks tasks; `asking` is the one being asked."""

    def __init__(self, registry: Mapping[str, Task]) -> None:
        self.registry = registry
        self.asking = ""

    def steps(self, play: Play, context: Context) -> Iterator[Step]:
        waiting: list[tuple[str, Operation]] = []
        for call in play.tasks:
            for item in self.ask(call, context):
                if isinstance(item, Operation):
                    waiting.append((call.name, item))
                    continue
                if waiting:
                    yield _batch(waiting)
                    waiting = []
                yield ActionStep(action=item, task=call.name, context=context)
        if waiting:
            yield _batch(waiting)

    def ask(self, call: TaskCall, context: Context) -> Iterator[Operation | Action]:
        self.asking = call.name
        for item in self.registry[call.name].function(context, **filled(call.arguments, context)):
            if not isinstance(item, Operation | Action):
                raise KubeforgeError(f"the task gave {item!r}, which is neither an operation nor an action")
            yield item


def _batch(waiting: Sequence[tuple[str, Operation]]) -> Batch:
    return Batch(
        operations=tuple(operation for _, operation in waiting),
        tasks={operation.title: task for task, operation in waiting},
    )


def fault(error: Exception) -> KubeforgeError:
    """Return an unforeseen exception as an error that says where in the code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return KubeforgeError(
        f"a fault in the code: {type(error).__name__}: {error}",
        evidence=[f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
        remedy="this is a defect, not your input; report it with these lines",
    )
