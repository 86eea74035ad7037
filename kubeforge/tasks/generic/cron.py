"""Commands that cron runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Absent, File
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import Environment, env_of
from kubeforge.tasks.registry import task

__all__ = ["job"]


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
    if not name or not all(letter.isalnum() or letter in "_-" for letter in name):
        raise InputError([Problem(message=f"cron: {name!r} would be skipped by cron: letters, digits, _ and - only")])
    if state == "absent":
        yield Absent(path=path, reveal=True)
        return
    if "\n" in command or not command or len(schedule.split()) not in ((1,) if schedule.startswith("@") else (5,)):
        raise InputError([Problem(message=f"cron {name}: {schedule!r} and {command!r} are no time and one line")])
    rows = "".join(f"{key}={value}\n" for key, value in env_of(variables).items())
    text = f"# Written by kubeforge.\n{rows}{schedule} {user} {command}\n"
    yield File(path=path, content=text.encode())
