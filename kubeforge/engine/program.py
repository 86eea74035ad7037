"""Compiles a playbook for hosts: tasks are asked, their operations and actions come out in order. Asks no host itself.

Consecutive operations of one play on one host form one batch, whichever tasks they come from; an action stands alone,
and what may do more than it foretells ends its batch.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kubeforge.engine.arguments import filled
from kubeforge.engine.becoming import done_as, enters_as_root, user_of
from kubeforge.engine.delegation import Delegated, delegated
from kubeforge.engine.events import Failure
from kubeforge.engine.model import Action, Context, Task
from kubeforge.engine.notifying import heard, telling, titles_of
from kubeforge.engine.playbook import Order, Play, Playbook, TaskCall, suggestion
from kubeforge.engine.signatures import complaint, signature
from kubeforge.engine.templating import has_template
from kubeforge.errors import BecomeFailed, InputError, KubeforgeError, Problem
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS, Host, Inventory
from kubeforge.inventory.patterns import of_facts, select
from kubeforge.operations.becoming import LOGIN
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
        once: name of a play -> who does there what is done once, where that is settled; else its first host.
    """

    playbook: Playbook
    hosts: tuple[tuple[str, ...], ...]
    once: Mapping[str, str] = field(default_factory=dict)

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every host that takes part, in the order of first appearance."""
        return tuple(dict.fromkeys(name for names in self.hosts for name in names))

    def over_limit(
        self, number: int, failed: Collection[str], away: Collection[str] = (), *, batch: Collection[str]
    ) -> bool:
        """Return whether more of a play's hosts have failed than it allows.

        Args:
            number: of the play.
            failed: all hosts that have.
            away: those of them that could not be reached when the run was planned.
            batch: the hosts that are worked on together, for plays that allow so many of each batch.
        """
        play = self.playbook.plays[number]
        hosts = set(batch) if play.each_batch else set(self.hosts[number])
        counted = hosts & (set(failed) - set(away) if play.ignore_unreachable else set(failed))
        is_lost = play.each_batch and bool(hosts) and counted == hosts
        return is_lost or len(counted) > play.max_failures.limit(len(hosts))

    def blocked(self, failed: Collection[str], away: Collection[str] = ()) -> bool:
        """Return whether so many hosts could not be planned that nothing may begin; see `over_limit`."""
        return any(
            self.over_limit(number, failed, away, batch=batch)
            for number, (play, hosts) in enumerate(zip(self.playbook.plays, self.hosts, strict=True))
            for batch in (play.batches(hosts, everyone=hosts) if play.each_batch else [hosts])
        )

    def within(self, names: Collection[str] | None) -> Roster:
        """Return the same with nobody but `names`; None: with everybody.

        Raises:
            InputError: none of them takes part.
        """
        if names is None:
            return self
        left = replace(self, hosts=tuple(tuple(host for host in hosts if host in names) for hosts in self.hosts))
        if not left.everyone:
            raise InputError([Problem(message=f"{self.playbook.name} has nothing for {', '.join(names) or 'no host'}")])
        return left

    def settled(self, failed: Collection[str]) -> Roster:
        """Return the same with who does what is done once: the first host that has not failed, if nobody was before."""
        firsts = {
            play.name: next((name for name in names if name not in failed), names[0])
            for play, names in zip(self.playbook.plays, self.hosts, strict=True)
            if names and play.has_once
        }
        return replace(self, once={**firsts, **self.once})

    def plays_of(self, host: str) -> Iterator[tuple[int, Play]]:
        """Yield the number and the play of each play that `host` takes part in, with what it does there."""
        for number, (play, names) in enumerate(zip(self.playbook.plays, self.hosts, strict=True)):
            if host in names:
                yield number, play.of(first=host == self.once.get(play.name, names[0]))


def roster(
    playbook: Playbook, inventory: Inventory, limit: str | None = None, once: Mapping[str, str] | None = None
) -> Roster:
    """Find the hosts of every play.

    Args:
        playbook: already cut down to the wanted tags.
        inventory: who there is.
        limit: a pattern; only its hosts take part.
        once: see `Roster`; who did it in the run that is gone on with.

    Raises:
        InputError: a pattern names a host or group that is not there; `limit` selects nobody; a play is for nobody,
            limit or not, and the playbook is no shipped one: all that is wrong at once.
    """
    settled = once or {}
    problems: list[Problem] = []
    within = _names(limit, inventory, problems, Problem(message="", field="--limit")) if limit else None
    hosts = []
    for play in playbook.plays:
        place = Problem(message="", file=playbook.file, line=play.hosts_line or play.line)
        meant = _names(play.hosts, inventory, problems, place, may_be_empty=playbook.shipped)
        names = _ordered(meant, play.order)
        if play.run_once:
            names = [name for name in names if name == settled.get(play.name)] or names[:1]
        problems += _strangers(play, inventory, playbook.file)
        hosts.append(tuple(name for name in names if within is None or name in within))
    if problems:
        raise InputError(problems)
    if within is not None and not any(hosts):
        message = f"selects no host of {playbook.name}{suggestion(str(limit), list(inventory.hosts))}"
        raise InputError([Problem(message=message, field="--limit")])
    return Roster(playbook=playbook, hosts=tuple(hosts), once=settled)


def _ordered(names: list[str], order: Order) -> list[str]:
    """Return hosts in the order of their turns."""
    if order == "shuffle":
        return random.sample(names, len(names))
    listed = sorted(names) if order.endswith("sorted") else names
    return listed[::-1] if order.startswith("reverse") else listed


def _strangers(play: Play, inventory: Inventory, file: str | None) -> Iterator[Problem]:
    """Yield hosts that work is delegated to and that are not in the inventory."""
    for call in (*play.tasks, *play.handlers):
        to = call.delegate_to
        if to and to not in inventory.hosts and not has_template(to):
            message = f"the inventory has no host {to}{suggestion(to, list(inventory.hosts))}"
            yield Problem(message=message, file=call.file or file, line=call.line, field="delegate_to")


def _with_roles(inventory: Inventory, *, may_be_empty: bool) -> Inventory:
    """Return the inventory with the groups that a cluster's hosts are in by their roles.

    Args:
        inventory: as loaded.
        may_be_empty: those are there, too, that it has no hosts of.
    """
    roles = {
        CONTROL_PLANE: (),
        WORKERS: (),
        LOAD_BALANCERS: (),
        ETCD: tuple(host.name for host in inventory.etcd_members),
        CLUSTER: tuple(host.name for host in inventory.cluster),
    }
    known = {name: hosts for name, hosts in roles.items() if hosts or may_be_empty}
    return replace(inventory, groups={**known, **inventory.groups})


def _names(
    pattern: str, inventory: Inventory, problems: list[Problem], place: Problem, *, may_be_empty: bool = True
) -> list[str]:
    """Return the hosts of a pattern; what is wrong with it is added to `problems`, at `place`."""
    known = _with_roles(inventory, may_be_empty=may_be_empty)
    try:
        nobody_is_fine = may_be_empty or bool(of_facts(inventory, pattern))
        return [host.name for host in select(known, pattern, may_be_empty=nobody_is_fine)]
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
    calls = dict.fromkeys(call.name for play in who.playbook.plays for call in (*play.tasks, *play.handlers))
    readers = (registry[name].reads for name in calls)
    return Queries.merge(reads(inventory, host) for reads in readers if reads is not None)


Parts = Mapping[int, tuple[Step, ...]]


def compile_host(
    plays: Iterable[tuple[int, Play, Context]], registry: Mapping[str, Task], *, file: str | None = None
) -> Parts | Failure:
    """Ask all tasks of one host.

    Args:
        plays: number, play and context of each play the host takes part in.
        registry: the tasks by name.
        file: the playbook's, for errors.

    Returns:
        Number of a play -> its steps on this host; or why a task could not be asked.
    """
    compiler = _Compiler(registry, file)
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

    def __init__(self, registry: Mapping[str, Task], file: str | None) -> None:
        self.registry = registry
        self.file = file
        self.asking = ""

    def steps(self, play: Play, context: Context) -> Iterator[Step]:
        waiting: list[tuple[str, Operation]] = []
        for call, item, around in self.items(play, context):
            if waiting and _ends(waiting[-1][1], item):
                yield _batch(waiting)
                waiting = []
            if isinstance(item, Operation):
                waiting.append((call.name, item))
            else:
                yield ActionStep(action=item, task=call.name, context=around)
        if waiting:
            yield _batch(waiting)

    def items(self, play: Play, context: Context) -> Iterator[tuple[TaskCall, Operation | Action, Context]]:
        """Yield what the tasks give, then what the handlers do when they are notified."""
        given = [(call, item, around) for call in play.tasks for item, around in self.turn(call, context)]
        causes: dict[str, list[Operation | Action]] = {}
        _notify(given, causes)
        tells: dict[str, list[str]] = {}
        for handler in play.handlers:
            if handler.label in causes:
                done = [(handler, item, around) for item, around in self.turn(handler, context)]
                _notify(done, causes)
                tells[handler.label] = [title for _, item, _ in done for title in titles_of(item)]
                given += [(call, heard(item, causes[handler.label]), around) for call, item, around in done]
        for call, item, around in given:
            yield call, telling(item, [title for label in call.notify for title in tells.get(label, ())]), around

    def turn(self, call: TaskCall, context: Context) -> Iterator[tuple[Operation | Action, Context]]:
        """Yield what one call gives, and the context it is done in: this host's, or that of another one."""
        self.asking = call.name
        try:
            mine = replace(context, vars={**context.vars, **call.vars}) if call.vars else context
            if call.delegate_to is None:
                yield from ((item, mine) for item in self.ask(call, mine))
                return
            to = str(filled({"delegate_to": call.delegate_to}, mine)["delegate_to"])
            if to not in mine.inventory.hosts:
                raise KubeforgeError(f"the inventory has no host {to}{suggestion(to, list(mine.inventory.hosts))}")
            there = replace(mine, host=mine.inventory.hosts[to], turn=mine.host)
            for item in delegated(self.ask(call, there), to):
                yield item, mine if isinstance(item, Delegated) else there
        except KubeforgeError as error:
            file = call.file or self.file
            if file and call.line:
                error.evidence = (*error.evidence, f"{file}:{call.line}")
            raise

    def ask(self, call: TaskCall, context: Context) -> Iterator[Operation | Action]:
        task = self.registry[call.name]
        arguments = filled(call.arguments, context)
        taken = signature(task).parameters if call.arguments else {}
        for name, value in arguments.items():
            if value is not call.arguments[name] and name in taken and (why := complaint(taken[name], value)):
                raise KubeforgeError(f"argument {name}: {why}")
        user = _user(call, context)
        if user and user != LOGIN and "become_user" in signature(task).parameters:
            arguments, user = {"become_user": user, **arguments}, ""  # the task knows best what it is about
        given = _given(task.function(context, **arguments))
        yield from done_as(given, user, frozenset(arguments)) if user else given


def _given(items: Iterable[object]) -> Iterator[Operation | Action]:
    for item in items:
        if not isinstance(item, Operation | Action):
            raise KubeforgeError(f"the task gave {item!r}, which is neither an operation nor an action")
        yield item


def _user(call: TaskCall, context: Context) -> str:
    """Return who does a call on the context's host; empty: who is entered.

    Raises:
        BecomeFailed: the host is not entered as root, who alone can become anybody.
    """
    connection = context.host.connection
    named = str(filled({"become_user": call.become_user}, context)["become_user"])
    user = user_of(call, connection, named)
    if user and not enters_as_root(connection):
        raise BecomeFailed(
            f"this host is not entered as root, so nobody there can become {'another' if user == LOGIN else user}",
            remedy="set ansible_become: true for it in the inventory, or enter as root (ansible_user)",
        )
    return user


def _notify(
    given: Sequence[tuple[TaskCall, Operation | Action, Context]], causes: dict[str, list[Operation | Action]]
) -> None:
    """Add what calls gave to the causes of the handlers they notify."""
    for call, item, _ in given:
        for label in call.notify:
            causes.setdefault(label, []).append(item)


def _ends(last: Operation, following: Operation | Action) -> bool:
    """Whether a batch ends between the two: what may find more than was foretold is decided anew (ADR 96)."""
    return not isinstance(following, Operation) or (last.open_ended and not following.open_ended)


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
