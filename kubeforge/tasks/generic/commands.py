"""Commands and scripts, with guards that say whether they are due."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from typing import Final

from kubeforge.engine.local_files import LocalFile
from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Command
from kubeforge.operations.model import Operation
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import (
    Environment,
    argv_of,
    content_of,
    env_of,
    file_beside,
    local_content,
)
from kubeforge.tasks.registry import task

__all__ = ["run", "script"]

_DEADLINE: Final = 300.0
_SHELLS: Final = frozenset({"sh", "dash", "bash", "ksh", "zsh", "ash"})


@task("command.run", aka=("command", "shell", "raw"))
def run(
    context: Context,
    *,
    command: str | Sequence[str | int | float],
    creates: str | None = None,
    removes: str | None = None,
    unless: str | Sequence[str | int | float] | None = None,
    name: str | None = None,
    stdin: str | Secret | None = None,
    ok: Sequence[int] = (0,),
    deadline: float = _DEADLINE,
    become_user: str = "",
    environment: Environment | None = None,
    chdir: str = "",
) -> Iterator[Operation]:
    """A command, without a shell around it. Without a guard it runs at every apply, and every plan shows it.

    Args:
        command: its words as a list, or a text that is split as a shell splits it; nothing is expanded. For pipes and
            variables there is command.script.
        creates: an absolute path; where it exists, nothing is due.
        removes: an absolute path; where it is missing, nothing is due.
        unless: a read-only command; where it succeeds, nothing is due. It runs while planning, too.
        name: what plans call it, where the command is long; unique on its host.
        stdin: what it reads; the way for a secret, as words and variables can be seen in process lists.
        ok: exit statuses that are good.
        deadline: seconds after which it is stopped.
        become_user: who runs it, and `unless`; nothing said: root.
        environment: variables for it; never a secret.
        chdir: an absolute path, where both run; nothing said: the root directory.
    """
    del context
    yield Command(
        argv=argv_of(command),
        creates=creates,
        removes=removes,
        unless=None if unless is None else argv_of(unless, "unless"),
        name=name,
        env=env_of(environment),
        stdin=None if stdin is None else content_of(stdin),
        user=become_user,
        chdir=chdir,
        ok=tuple(ok),
        deadline=deadline,
    )


@task("command.script", aka=("script",))
def script(
    context: Context,
    *,
    src: LocalFile | None = None,
    text: str | Secret | None = None,
    interpreter: str | Sequence[str] = "sh -eu",
    creates: str | None = None,
    removes: str | None = None,
    unless: str | Sequence[str | int | float] | None = None,
    name: str | None = None,
    deadline: float = _DEADLINE,
    become_user: str = "",
    environment: Environment | None = None,
    chdir: str = "",
) -> Iterator[Operation]:
    """A script, which the interpreter reads from its standard input; nothing of it stays on the host.

    A shell's script is read to its end before it begins, and what it starts has no input.

    Args:
        src: a file beside the playbook, in its `files/` first; or `text`.
        text: the script itself.
        interpreter: what reads it.
        creates: an absolute path; where it exists, nothing is due.
        removes: an absolute path; where it is missing, nothing is due.
        unless: a read-only command; where it succeeds, nothing is due. It runs while planning, too.
        name: what plans call it; nothing said: its file, or the beginning of its digest.
        deadline: seconds after which it is stopped.
        become_user: who runs it, and `unless`; nothing said: root.
        environment: variables for it; never a secret.
        chdir: an absolute path, where both run; nothing said: the root directory.
    """
    argv = argv_of(interpreter, "the interpreter")
    content = _whole(_script(context, src, text), argv[0])
    digest = content.sha256 if isinstance(content, Secret) else hashlib.sha256(content).hexdigest()
    yield Command(
        argv=argv,
        creates=creates,
        removes=removes,
        unless=None if unless is None else argv_of(unless, "unless"),
        name=name or src or f"script {'of secrets' if isinstance(content, Secret) else digest[:12]}",
        env=env_of(environment),
        stdin=content,
        user=become_user,
        chdir=chdir,
        deadline=deadline,
    )


def _whole(script: bytes | Secret, interpreter: str) -> bytes | Secret:
    """Put a shell's script in braces: it is read to its end before it runs, so no program it starts reads the rest."""
    if posixpath.basename(interpreter) not in _SHELLS:
        return script
    text = script.reveal() if isinstance(script, Secret) else script
    braced = b"{ :\n" + text + b"\n} </dev/null\n"
    return Secret(braced) if isinstance(script, Secret) else braced


def _script(context: Context, src: str | None, text: str | Secret | None) -> bytes | Secret:
    if (src is None) == (text is None):
        raise InputError([Problem(message="a script is a file (`src`) or a text (`text`): give one of them")])
    if text is not None:
        return content_of(text)
    content = local_content(file_beside(context, str(src)))
    return content if isinstance(content, bytes | Secret) else content.path.read_bytes()
