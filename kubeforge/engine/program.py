"""Compiles a playbook for hosts: tasks are asked, their operations and actions come out in order. Asks no host itself.

Consecutive operations of one play on one host form one batch, whichever tasks they come from; an action stands alone,
and what may do more than it foretells ends its batch.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kubeforge.engine.arguments import filled
from kubeforge.engine.becoming import done_as, enters_as_root, user_of
from kubeforge.engine.delegation import Delegated, delegated, place_of
from kubeforge.engine.events import Failure
from kubeforge.engine.model import Action, Context, Task
from kubeforge.engine.notifying import heard, telling, titles_of
from kubeforge.engine.playbook import Play, TaskCall, suggestion
from kubeforge.engine.roster import Roster
from kubeforge.engine.signatures import complaint, signature
from kubeforge.errors import BecomeFailed, KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.becoming import LOGIN
from kubeforge.operations.model import Operation, Queries

__all__ = ["ActionStep", "Batch", "Parts", "Step", "compile_host", "fault", "reads_of"]


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

    @property
    def place(self) -> str:
        """The host that it is done on, whosever turn it is."""
        return place_of(self.action) or self.context.host.name


Step = Batch | ActionStep


def reads_of(who: Roster, registry: Mapping[str, Task], inventory: Inventory, host: Host) -> Queries:
    """Return what the tasks want to see on `host` beforehand.

    A task may look at any host (a worker's at the first control plane), so all tasks of the playbook are asked.
    """
    calls = dict.fromkeys(call.name for play in who.playbook.plays for call in (*play.tasks, *play.handlers))
    readers = (registry[name].reads for name in calls)
    return Queries.merge(reads(inventory, host) for reads in readers if reads is not None)


Parts = Mapping[int, tuple[Step, ...]]


def compile_host(
    plays: Iterable[tuple[int, Play, Context]],
    registry: Mapping[str, Task],
    *,
    file: str | None = None,
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> Parts | Failure:
    """Ask all tasks of one host.

    Args:
        plays: number, play and context of each play the host takes part in.
        registry: the tasks by name.
        file: the playbook's, for errors.
        variables: those of the command line, over those of tasks.

    Returns:
        Number of a play -> its steps on this host; or why a task could not be asked.
    """
    compiler = _Compiler(registry, file, variables)
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

    def __init__(self, registry: Mapping[str, Task], file: str | None, variables: Mapping[str, Any]) -> None:
        self.registry = registry
        self.file = file
        self.variables = variables
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
            mine = replace(context, vars={**context.vars, **call.vars, **self.variables}) if call.vars else context
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
            raise self.placed(error, call) from None
        except Exception as error:  # noqa: BLE001 - tasks are also users' code: their fault is reported, not a traceback
            raise self.placed(fault(error), call) from None

    def placed(self, error: KubeforgeError, call: TaskCall) -> KubeforgeError:
        """Return an error that says where the playbook asks for what went wrong."""
        file = call.file or self.file
        if file and call.line:
            error.evidence = (*error.evidence, f"{file}:{call.line}")
        return error

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
    named = str(filled({"become_user": call.become_user}, context)["become_user"]) if call.become_user else ""
    user = user_of(call, connection, named)
    if (user or (call.become and not connection.become)) and not enters_as_root(connection):
        other = "another" if user == LOGIN else user or "root"
        raise BecomeFailed(
            f"{context.host.name} is not entered as root, so nobody there can become {other}",
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
    """Return an unforeseen exception as an error that says where in the code it was raised, and whose code that is."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-3:]]
    said = f"{type(error).__name__}: {error}"
    if _is_users([frame.filename for frame in frames]):
        return KubeforgeError(f"code of your own raised {said}", evidence=places, remedy="correct it")
    return KubeforgeError(
        f"a fault in the code: {said}",
        evidence=places,
        remedy="this is a defect, not your input; report it with these lines",
    )


def _is_users(files: Sequence[str]) -> bool:
    """Whether the code that was called last, libraries aside, is no part of kubeforge: a task beside a playbook."""
    ours, libraries = str(Path(__file__).parents[1]), (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    last = next((file for file in reversed(files) if file.startswith(ours) or not file.startswith(libraries)), ours)
    return not last.startswith(ours)
