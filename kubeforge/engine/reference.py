"""Reference pages of tasks, as Markdown, out of their signatures and docstrings. Pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from kubeforge.engine.model import Task
from kubeforge.engine.signatures import Parameter, signature
from kubeforge.secret import Secret

__all__ = ["reference_pages"]

_WRITTEN: Final = "<!-- Written by scripts/task-pages from the tasks' own docstrings: change those. -->\n"
_PLAIN: Final[Mapping[Any, str]] = {str: "text", int: "number", float: "number", bool: "yes or no", Any: "anything"}


def reference_pages(registry: Mapping[str, Task]) -> dict[str, str]:
    """Return file name -> page: one per subject, and README.md that lists them all.

    Args:
        registry: the tasks to write about, by name.
    """
    subjects: dict[str, list[Task]] = {}
    for name in sorted(registry):
        subjects.setdefault(name.partition(".")[0], []).append(registry[name])
    pages = {f"{subject}.md": _page(subject, listed) for subject, listed in subjects.items()}
    return {"README.md": _index(registry), **pages}


def _index(registry: Mapping[str, Task]) -> str:
    rows = [
        f"| [{name}]({name.partition('.')[0]}.md#{name.replace('.', '')}) | {_cell(task.summary)} | "
        f"{', '.join(f'`{word}`' for word in task.aka)} |"
        for name, task in sorted(registry.items())
    ]
    about = "What playbooks may name, with Kubernetes or without; see [playbooks](../playbooks.md)."
    head = f"# Tasks for any host\n\n{about}\n"
    return "\n".join([_WRITTEN + head, "| task | what it does | others call it |", "|---|---|---|", *rows, ""])


def _page(subject: str, listed: Sequence[Task]) -> str:
    parts = [f"{_WRITTEN}# {subject}", *(part for task in listed for part in _sections(task))]
    return "\n\n".join(parts) + "\n"


def _sections(task: Task) -> Iterator[str]:
    taken = signature(task)
    yield f"## {task.name}"
    yield "\n".join(line.strip() if not line.startswith("    ") else line for line in taken.text.splitlines())
    if taken.parameters:
        rows = [_row(parameter) for parameter in taken.parameters.values()]
        yield "\n".join(["| argument | is | otherwise | |", "|---|---|---|---|", *rows])
    if taken.is_open:
        yield "Any other argument is taken, too."
    yield f"In Python: `{task.function.__module__}.{task.function.__name__}`."


def _row(parameter: Parameter) -> str:
    default = "**needed**" if parameter.required else _default(parameter.default)
    return f"| `{parameter.name}` | {_kind(parameter.hint)} | {default} | {_cell(parameter.summary)} |"


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _kind(hint: Any) -> str:
    """Return a type in a few words; a secret is written as text."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in inside)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_distinct(_kind(one) for one in inside if one not in (type(None), Secret)))
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping to {_kind(inside[1])}"
    if origin is not None and issubclass(origin, Sequence):
        return f"list of {_kind(inside[0])}"
    return _PLAIN.get(hint, str(hint))


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
