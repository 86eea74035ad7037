"""What many generic tasks share: modes as people write them, texts and secrets, files beside the playbook, families."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from kubeforge.engine.local_files import located
from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem, UnfitHost
from kubeforge.operations.command import check_env
from kubeforge.operations.distributions import FAMILIES, Family, family_of
from kubeforge.operations.model import Content, LocalContent
from kubeforge.secret import Secret

__all__ = [
    "Environment",
    "Mode",
    "argv_of",
    "content_of",
    "env_of",
    "family",
    "file_beside",
    "local_content",
    "mode_of",
    "needed",
    "one_line",
    "text_of",
    "unit",
]

Mode: TypeAlias = int | str
Environment: TypeAlias = Mapping[str, str | int | float]

_OCTAL: Final = re.compile(r"(0o?)?[0-7]{3,4}")
_NO_OCTAL: Final = frozenset({400, 440, 444, 500})
"""Modes without the zero in front, which YAML reads as 0620, 0670, 0674 and 0764: nobody wants those."""
_IN_MEMORY: Final = 256 * 1024  # bytes; a bigger file is streamed


def mode_of(mode: Mode) -> int:
    """Return permission bits of what a playbook says: `0644` or "0644".

    Raises:
        InputError: it is none; also 644 or 400 without a zero in front, which YAML reads as a decimal number.
    """
    if isinstance(mode, str) and _OCTAL.fullmatch(mode):
        return int(mode.removeprefix("0o"), 8)
    if isinstance(mode, int) and 0 <= mode <= 0o777 and mode not in _NO_OCTAL:
        return mode
    raise InputError([Problem(message=f'{mode!r} is no mode; write four octal digits in quotes: "0644"')])


def content_of(text: str | Secret, *, secret: bool = False) -> bytes | Secret:
    """Return a text as a file's content; a secret stays one, and any text is made one by `secret`."""
    if isinstance(text, Secret):
        return text
    return Secret(text) if secret else text.encode()


def text_of(text: str | Secret, what: str) -> str:
    """Return a text that everybody may see.

    Raises:
        InputError: it is a secret.
    """
    if isinstance(text, Secret):
        raise InputError([Problem(message=f"{what} is shown in plans and process lists: it cannot hold a secret")])
    return text


def needed(what: str, **arguments: object) -> None:
    """See that arguments are said which a task needs in one of its states.

    Raises:
        InputError: one is empty.
    """
    if not all(arguments.values()):
        names = " and ".join(f"`{name}`" for name in arguments)
        raise InputError([Problem(message=f"{what}: {names} must be said, but for `state: absent`")])


def one_line(what: str, **arguments: str) -> None:
    """See that texts which become a line of a file are no more than that.

    Raises:
        InputError: one has several lines.
    """
    for name, text in arguments.items():
        if "\n" in text or "\r" in text:
            raise InputError([Problem(message=f"{what}: {name} must be one line, not {text!r}")])


def file_beside(context: Context, src: str, folder: str = "files") -> Path:
    """Return a file or directory of this machine: an absolute path, or one beside the playbook.

    Args:
        context: knows the playbook's folder.
        src: as the playbook says it.
        folder: below the playbook's, looked into first.

    Raises:
        InputError: there is none.
    """
    return located(context.folder or Path(), src, folder)


def local_content(path: Path) -> Content:
    """Return a file of this machine as content; a big one is streamed when it is uploaded.

    Raises:
        InputError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        if size <= _IN_MEMORY:
            return path.read_bytes()
        with path.open("rb") as file:
            return LocalContent(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=size)
    except OSError as error:
        raise InputError([Problem(message=f"cannot be read: {error.strerror}", file=str(path))]) from None


def argv_of(command: str | Sequence[str | int | float | Secret] | Secret, what: str = "the command") -> tuple[str, ...]:
    """Return a command's words; a text is split as a shell splits words, and nothing in it is expanded.

    Raises:
        InputError: it is empty, has an open quote, or holds a secret.
    """
    if isinstance(command, Sequence) and not isinstance(command, str):
        words = tuple(text_of(word, what) if isinstance(word, Secret) else str(word) for word in command)
    else:
        try:
            words = tuple(shlex.split(text_of(command, what)))
        except ValueError as error:
            raise InputError([Problem(message=f"{what} {command!r}: {error}")]) from None
    if not words:
        raise InputError([Problem(message=f"{what} is empty")])
    return words


def env_of(environment: Mapping[str, object] | None) -> dict[str, str]:
    """Return environment variables as text.

    Raises:
        InputError: one holds a secret, or has a name that is none.
    """
    said = {
        name: text_of(value, f"environment variable {name}") if isinstance(value, Secret) else str(value)
        for name, value in (environment or {}).items()
    }
    check_env(said, "environment")
    return said


def family(context: Context) -> Family:
    """Return the host's family of distributions.

    Raises:
        UnfitHost: it is of none that is known.
    """
    found = family_of(context.mine.os_like)
    if found is None:
        raise UnfitHost(
            f"{context.mine.os_name} is of no family that is known here: {', '.join(FAMILIES)}",
            host=context.host.name,
            remedy="install packages by command.run, or say which family it is like in /etc/os-release",
        )
    return found


def unit(name: str) -> str:
    """Return a unit's full name: `nginx` is `nginx.service`."""
    return name if name.rpartition(".")[2] in _SUFFIXES else f"{name}.service"


_SUFFIXES: Final = frozenset(
    {"service", "socket", "timer", "mount", "automount", "swap", "target", "path", "slice", "scope", "device"}
)
