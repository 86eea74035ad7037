"""Files of this machine that a playbook's tasks name; they can be looked at before any host is."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from kubeforge.engine.model import Task
from kubeforge.engine.playbook import Playbook, TaskCall
from kubeforge.engine.signatures import signature
from kubeforge.engine.templating import compiled_file, has_template
from kubeforge.errors import InputError, Problem

__all__ = ["Beside", "LocalFile", "LocalTemplate", "located", "refuse_missing"]


@dataclass(frozen=True, slots=True)
class Beside:
    """Says of an argument that it names a file or a directory of this machine.

    Args:
        folder: below the playbook's, looked into first.
        is_template: whether Jinja2 reads it.
        unless: an argument that says, where it is true, that the file is the host's.
    """

    folder: str
    is_template: bool = False
    unless: str = ""


LocalFile: TypeAlias = Annotated[str, Beside("files")]
LocalTemplate: TypeAlias = Annotated[str, Beside("templates", is_template=True)]


def located(base: Path, src: str, folder: str) -> Path:
    """Return a file or directory of this machine: an absolute path, or one beside the playbook.

    Args:
        base: the playbook's folder.
        src: as the playbook says it.
        folder: below `base`, looked into first.

    Raises:
        InputError: there is none.
    """
    first = base / folder / src
    if first.exists():
        return first
    second = base / src
    if second.exists():
        return second
    looked = ", ".join(dict.fromkeys(map(str, (first, second))))
    raise InputError([Problem(message=f"there is no {src} on this machine; looked for: {looked}")])


def refuse_missing(book: Playbook, registry: Mapping[str, Task]) -> None:
    """Refuse a playbook whose tasks name files that are not here, or templates that are none.

    Names that are templates themselves are left to the plan.

    Raises:
        InputError: all of them, with the lines where they are named; of a template, with its own.
    """
    problems: list[Problem] = []
    base = Path(book.file or "playbook.yml").parent
    for call in (call for play in book.plays for call in (*play.tasks, *play.handlers)):
        for name, src, beside in _named(call, registry):
            try:
                path = located(base, src, beside.folder)
                if beside.is_template:
                    compiled_file(path)
            except InputError as error:
                field = f"{call.name}.{name}"
                problems += [_placed(one, field, call.file or book.file, call.line) for one in error.problems]
    if problems:
        raise InputError(list(dict.fromkeys(problems)))


def _placed(problem: Problem, field: str, file: str | None, line: int | None) -> Problem:
    return problem if problem.file else Problem(message=problem.message, field=field, file=file, line=line)


def _named(call: TaskCall, registry: Mapping[str, Task]) -> Iterator[tuple[str, str, Beside]]:
    """Yield the arguments of a call that are written as files of this machine."""
    task = registry.get(call.name)
    for parameter in signature(task).parameters.values() if task else ():
        value, beside = call.arguments.get(parameter.name), _beside(parameter.annotation)
        if beside and isinstance(value, str) and not has_template(value) and not call.arguments.get(beside.unless):
            yield parameter.name, value, beside


def _beside(annotation: Any) -> Beside | None:
    """Return what an annotation says of a file: `LocalFile`, `LocalFile | None`."""
    parts = (annotation, *typing.get_args(annotation))
    told = (one for part in parts for one in getattr(part, "__metadata__", ()))
    return next((one for one in told if isinstance(one, Beside)), None)
