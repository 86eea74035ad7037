"""Tasks: functions from a context to operations and actions, registered under the names playbooks use.

from kubeforge.tasks import Context, task

@task("site.motd")
def motd(context: Context, *, text: str) -> Iterator[Operation]: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import ModuleType

from kubeforge.engine.model import Context, Task
from kubeforge.errors import KubeforgeError
from kubeforge.tasks import generic
from kubeforge.tasks.registry import TASK_ATTRIBUTE, task

__all__ = ["Context", "load", "on_demand", "task", "tasks_in"]


def load() -> Mapping[str, Task]:
    """Return every task of this package by its name.

    Raises:
        KubeforgeError: two tasks have one name.
    """
    return _loaded(__path__, f"{__name__}.")


def on_demand() -> Mapping[str, Task]:
    """Return the same as `load`, but import everyday tasks by the module, and others when one of them is asked for.

    Tasks for clusters and what they need are three quarters of what starting a run over any hosts would cost.
    """
    return _OnDemand()


class _OnDemand(Mapping[str, Task]):
    def __init__(self) -> None:
        self._known: dict[str, Task] = {}

    @cached_property
    def _all(self) -> Mapping[str, Task]:
        return load()

    def __getitem__(self, name: str) -> Task:
        if name not in generic.HOMES:
            return self._all[name]
        if name not in self._known:
            module = importlib.import_module(f"{generic.__name__}.{generic.HOMES[name]}")
            self._known |= {task.name: task for task in tasks_in(module)}
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def _loaded(folders: Iterable[str], prefix: str) -> Mapping[str, Task]:
    names = sorted(module.name for module in pkgutil.walk_packages(folders, prefix))
    found = [task for name in names for task in tasks_in(importlib.import_module(name))]
    registry = {task.name: task for task in found}
    if len(registry) != len(found):
        twice = sorted({task.name for task in found if sum(other.name == task.name for other in found) > 1})
        raise KubeforgeError(f"two tasks have one name: {', '.join(twice)}")
    return registry


def tasks_in(module: ModuleType) -> list[Task]:
    """Return the tasks a module defines, in the order they are written; imported ones do not count."""
    marked = ((value, getattr(value, TASK_ATTRIBUTE, None)) for value in vars(module).values())
    return [mark for value, mark in marked if isinstance(mark, Task) and value.__module__ == module.__name__]
