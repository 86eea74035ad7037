"""The `@task` decorator. The registry itself is a value that `load()` builds by importing the task modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kubeforge.engine.model import Task, TaskFunction
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Queries

__all__ = ["TASK_ATTRIBUTE", "task"]

TASK_ATTRIBUTE = "__kubeforge_task__"
F = TypeVar("F", bound=TaskFunction)


def task(
    name: str, *, reads: Callable[[Inventory, Host], Queries] | None = None, aka: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """Register a function under `name`; a module's tasks are found by this mark, so nothing is global.

    Args:
        name: `subject.verb`, as playbooks call it.
        reads: see `engine.model.Task`.
        aka: see `engine.model.Task`.
    """

    def mark(function: F) -> F:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        marked = Task(name=name, function=function, reads=reads, summary=summary, aka=aka)
        setattr(function, TASK_ATTRIBUTE, marked)
        return function

    return mark
