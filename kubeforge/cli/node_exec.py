"""`kubeforge node exec`: a command on few hosts at a time. No logic here: see kubeforge.tasks.maintenance."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import run_options
from kubeforge.cli.maintenance import drain_options, limited, rolled, serial_option, span
from kubeforge.cli.runs import Choices

__all__ = ["run_command"]


@click.command("exec")
@run_options
@click.argument("pattern")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@serial_option
@click.option(
    "--within", callback=span, metavar="TIME", default="10m", show_default=True, help="Time that the command may take."
)
@click.option("--drain/--no-drain", "drains", default=False, show_default=True, help="Let pods leave a node before.")
@drain_options
@options.check
@options.yes
def run_command(
    choices: Choices,
    *,
    pattern: str,
    command: tuple[str, ...],
    serial: tuple[str, ...],
    within: str,
    drains: bool,
    draining: Mapping[str, str],
    check: bool,
    yes: bool,
) -> None:
    """Run a command as root on few hosts at a time; the first that fails ends it.

    PATTERN selects hosts. One word after `--` is a command line for the shell there; several are a command with its
    arguments. It is shown in plans and kept in the run's journal: never put a secret into it.
    """
    from kubeforge.operations.shell import join
    from kubeforge.tasks.maintenance import AROUND, COMMAND, WITHIN

    line = command[0] if len(command) == 1 else join(command)
    variables = {COMMAND: line, WITHIN: within, AROUND: "yes" if drains else "no", **draining}
    rolled(limited(choices, pattern), "exec", variables, check=check, yes=yes, serial=serial)
