"""Tasks: functions from a context to operations and actions, registered under the names playbooks use.

from kubeforge.tasks import Context, task

@task("site.motd")
def motd(context: Context, *, text: str) -> Iterator[Operation]: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from kubeforge.engine.model import Context, Task
from kubeforge.errors import KubeforgeError
from kubeforge.tasks.registry import TASK_ATTRIBUTE, task

__all__ = ["Context", "load", "task", "tasks_in"]


def load() -> Mapping[str, Task]:
    """Return every task of this package by its name.

    Raises:
        KubeforgeError: two tasks have one name.
    """
    names = sorted(module.name for module in pkgutil.walk_packages(__path__, f"{__name__}."))
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
