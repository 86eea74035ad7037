"""cluster.yml beside hosts.yml -> ClusterSpec, or every problem at once. Reads that file, and passwords it points to.

Defaults that follow from the inventory or from the file's place are filled in here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from kubeforge.errors import InputError, Problem
from kubeforge.spec.addresses import endpoint_kind
from kubeforge.spec.document import Document, FieldPath, field_name, read
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.naming import FILE_NAMES, locate
from kubeforge.spec.releases import RECOMMENDED
from kubeforge.spec.shape import shape
from kubeforge.spec.validate import validate

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["FILE_NAMES", "Examined", "examine", "load", "locate"]

_LEAST: Final = f"`name: demo` and `kubernetes: {RECOMMENDED}`, a line each"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found in a cluster.yml.

    Args:
        file: the file that was read.
        spec: None where there are errors.
        problems: errors and warnings, in the order of the file.
    """

    file: Path
    spec: ClusterSpec | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse."""
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are only shown."""
        return tuple(problem for problem in self.problems if problem.warning)


def load(path: Path, inventory: Inventory) -> ClusterSpec:
    """Read and check a spec.

    Args:
        path: the inventory's directory, its hosts.yml, or the cluster.yml itself.
        inventory: the hosts the cluster is made of.

    Raises:
        InputError: with every problem, each with file, line and field.
    """
    examined = examine(path, inventory)
    if examined.errors or examined.spec is None:
        raise InputError(examined.errors, remedy=f"correct {examined.file}, then: kubeforge validate -i {path}")
    return examined.spec


def examine(path: Path, inventory: Inventory | None, *, kubernetes: str | None = None) -> Examined:
    """Read and check a spec; problems are returned, not raised.

    Args:
        path: as in `load`.
        inventory: as in `load`; None where it cannot be read: then the rules about hosts are left out, and there is
            no spec.
        kubernetes: a version that takes the place of the file's; all rules are asked with it.
    """
    file = locate(path)
    try:
        document = read(file)
    except OSError as error:
        return Examined(file=file, spec=None, problems=(_unreadable(file, error),))
    if document.problems and document.data is None:
        return Examined(file=file, spec=None, problems=document.problems)
    if not isinstance(document.data, dict):
        return Examined(file=file, spec=None, problems=(_no_mapping(document),))
    if kubernetes is not None:
        document = replace(document, data={**document.data, "kubernetes": kubernetes})
    shaped = shape(document)
    problems = [*document.problems, *shaped.problems]
    spec = None
    if shaped.spec is not None:
        told, unread = _with_passwords(shaped.spec, file)
        spec = None if inventory is None else _fill(told, inventory, file)
        found = [*unread, *validate(told, inventory)]
        problems += [_placed(document, problem) for problem in found if not _about(problem, shaped.dropped)]
    problems.sort(key=lambda problem: (problem.file != str(file), problem.file or "", problem.line or 0))
    sound = not any(not problem.warning for problem in problems)
    return Examined(file=file, spec=spec if sound else None, problems=tuple(problems))


def _fill(spec: ClusterSpec, inventory: Inventory, file: Path) -> ClusterSpec:
    endpoint = spec.endpoint.model_copy(update={"kind": endpoint_kind(spec, inventory)})
    artifacts = spec.artifacts
    if artifacts.mirror is not None and "://" not in artifacts.mirror:
        mirror = (file.parent / Path(artifacts.mirror).expanduser()).absolute()
        artifacts = artifacts.model_copy(update={"mirror": str(mirror)})
    return spec.model_copy(update={"endpoint": endpoint, "artifacts": artifacts})


def _with_passwords(spec: ClusterSpec, file: Path) -> tuple[ClusterSpec, list[Problem]]:
    """Read the passwords that lie in files of their own."""
    problems, logins = [], {}
    for registry, login in spec.containerd.logins.items():
        logins[registry] = login
        if login.password_file is None or login.password is not None:
            continue
        path = file.parent / Path(login.password_file).expanduser()
        try:
            password = SecretStr(path.read_text(encoding="utf-8").removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            field = field_name(("containerd", "logins", registry, "password_file"))
            problems.append(Problem(message=f"{path} cannot be read: {why}", field=field))
        else:
            logins[registry] = login.model_copy(update={"password": password})
    containerd = spec.containerd.model_copy(update={"logins": logins})
    return spec.model_copy(update={"containerd": containerd}), problems


def _unreadable(file: Path, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        message = f"there is no such file; it describes the cluster, at the least with {_LEAST}"
    else:
        message = f"cannot be read: {error.strerror}"
    return Problem(message=message, file=str(file))


def _no_mapping(document: Document) -> Problem:
    if document.data is None:
        return Problem(message=f"the file is empty; it needs at the least {_LEAST}", file=document.file)
    kind = "a list" if isinstance(document.data, list) else "a single value"
    return Problem(message=f"must be `name: value` lines, and is {kind}", file=document.file, line=1)


def _about(problem: Problem, dropped: tuple[FieldPath, ...]) -> bool:
    """Tell whether a rule speaks of a field that could not be read, or of what is inside or around it."""
    if problem.field is None:
        return False
    names = [field_name(path) for path in dropped]
    return any(_within(problem.field, name) or _within(name, problem.field) for name in names)


def _within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[")


def _placed(document: Document, problem: Problem) -> Problem:
    """Give a rule's problem its file and line; those about hosts bring their own."""
    if problem.file is not None or problem.field is None:
        return problem
    line = next((found for name, found in _candidates(document) if _within(problem.field, name)), None)
    return Problem(message=problem.message, file=document.file, line=line, field=problem.field, warning=problem.warning)


def _candidates(document: Document) -> list[tuple[str, int]]:
    """Return rendered field names with their lines, longest first."""
    named = [(field_name(path), line) for path, line in document.lines.items()]
    return sorted(named, key=lambda item: -len(item[0]))
