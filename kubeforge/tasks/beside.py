"""Tasks of a playbook's own: `site.py` beside `site.yml`, and `tasks.py` for all playbooks of a folder."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from kubeforge import tasks
from kubeforge.engine.model import Task
from kubeforge.errors import InputError, Problem

__all__ = ["registry_for"]

_SHARED: Final = "tasks.py"


def registry_for(playbook: Path) -> Mapping[str, Task]:
    """Return the tasks that a playbook may name: all that are shipped, and those of the Python files beside it.

    Raises:
        InputError: such a file cannot be run, or names a task that there is already.
    """
    registry = tasks.on_demand()
    own: dict[str, Task] = {}
    problems: list[Problem] = []
    for file in _files(playbook):
        try:
            found = tasks.tasks_in(_module(file))
        except Exception as error:  # noqa: BLE001 - a user's code: its fault is told with its place, not a traceback
            problems.append(_told(error, file))
            continue
        for task in found:
            if task.name in own or task.name in registry:
                line = task.function.__code__.co_firstlineno if hasattr(task.function, "__code__") else None
                problems.append(
                    Problem(message=f"there is a task {task.name} already; give yours another name",
                            file=str(file), line=line)
                )  # fmt: skip
            own[task.name] = task
    if problems:
        raise InputError(problems)
    return {**registry, **own} if own else registry


def _files(playbook: Path) -> Iterator[Path]:
    for file in dict.fromkeys((playbook.parent / _SHARED, playbook.with_suffix(".py"))):
        if file.is_file():
            yield file


def _module(file: Path) -> ModuleType:
    """Run a Python file under a name of its own; nothing is left in sys.path."""
    name = f"kubeforge_playbook_{file.resolve().parent.name}_{file.stem}".replace("-", "_").replace(".", "_")
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None and specification.loader is not None  # noqa: PT018 - a .py file has both
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def _told(error: Exception, file: Path) -> Problem:
    """Return a fault with the last line of the file that it came from."""
    if isinstance(error, SyntaxError):
        return Problem(message=f"not Python: {error.msg}", file=str(file), line=error.lineno)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    line = frames[-1].lineno if frames else None
    return Problem(message=f"{type(error).__name__}: {error}", file=str(file), line=line)
