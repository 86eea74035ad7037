"""Commands that cron runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Absent, File
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import Environment, env_of, one_line
from kubeforge.tasks.registry import task

__all__ = ["job"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")  # cron(8) of Debian: LANANA's namespace


@task("cron.job", aka=("cron",))
def job(
    context: Context,
    *,
    name: str,
    command: str = "",
    schedule: str = "",
    user: str = "root",
    variables: Environment | None = None,
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    r"""A command that cron runs, in a file of its own: /etc/cron.d/NAME.

    Args:
        name: of the file: letters, digits, _ and -; cron skips others.
        command: one line for sh; a `%` in it is a line's end to cron, unless it is written as `\%`.
        schedule: five fields, `0 3 * * *`, or `@daily`, `@reboot`, ….
        user: who runs it.
        variables: for its environment, `MAILTO` among them.
        state: present or absent.
    """
    del context
    path = f"/etc/cron.d/{name}"
    if not _NAME.fullmatch(name):
        raise InputError([Problem(message=f"cron: {name!r} would be skipped by cron: letters, digits, _ and - only")])
    if state == "absent":
        yield Absent(path=path, reveal=True)
        return
    fields = (1,) if schedule.startswith("@") else (5,)
    if "\n" in f"{command}{schedule}" or not command or len(schedule.split()) not in fields:
        raise InputError([Problem(message=f"cron {name}: {schedule!r} and {command!r} are no time and one line")])
    if len(user.split()) != 1 or user != user.strip():
        raise InputError([Problem(message=f"cron {name}: {user!r} is no user")])
    environment = env_of(variables)
    one_line(f"cron {name}", **environment)
    rows = "".join(f"{key}={value}\n" for key, value in environment.items())
    text = f"# Written by kubeforge.\n{rows}{schedule} {user} {command}\n"
    yield File(path=path, content=text.encode())
