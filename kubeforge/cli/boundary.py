"""The one place where errors become words and an exit code. No traceback reaches a terminal."""

# ruff: noqa: PLC0415 - what is needed only when something is broken is imported then
from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kubeforge.errors import Interrupted, KubeforgeError

if TYPE_CHECKING:
    from rich.console import Console

    from kubeforge.errors import Problem

__all__ = ["USAGE", "console", "guarded", "show_warnings"]

USAGE: Final = 64  # EX_USAGE of sysexits.h


def guarded(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """Run a command line; return its exit code.

    Args:
        command: the root group.
        arguments: without the program's name.
        name: the program's name.
    """
    try:
        code = command.main(args=list(arguments), prog_name=name, standalone_mode=False, color=_color())
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - the outermost boundary: nothing may end in a traceback
        return _told(error, arguments)


def _told(error: Exception, arguments: Sequence[str]) -> int:
    """Say what went wrong; return the exit code."""
    code = KubeforgeError.exit_code
    match error:
        case click.Abort():
            code = _interrupted()
        case click.ClickException():
            error.show()
            code = USAGE
        case KubeforgeError():
            _show(error)
            code = error.exit_code
        case BrokenPipeError():
            # whoever read our output has gone; Python must not complain of it again when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        case _:
            _show_bug(error, arguments)
    return code


def show_warnings(problems: Sequence[Problem]) -> None:
    """Print warnings about the input on stderr."""
    for problem in problems:
        click.echo(f"{click.style('warning:', fg='yellow')} {problem}", err=True, color=_color())


def console(*, stderr: bool) -> Console:
    """Return a console for text that may be coloured: no markup and no guesses at what words mean."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, no_color=bool(os.environ.get("NO_COLOR")))


def _color() -> bool | None:
    """Return False where NO_COLOR asks for none (no-color.org); None: click decides by the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _interrupted() -> int:
    click.echo(f"\n{click.style('interrupted', fg='red')}", err=True, color=_color())
    return Interrupted.exit_code


def _show(error: KubeforgeError) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True, color=_color())


def _show_bug(error: Exception, arguments: Sequence[str]) -> None:
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        where = f"look at {_write_crash(error, arguments)}, and report it with that file"
    except OSError as unwritable:
        where = f"run it again with a writable cache folder, to have the details ({unwritable})"
    click.echo(
        f"{click.style('error:', fg='red', bold=True)} this is a bug in kubeforge: {said}\n  next: {where}",
        err=True,
        color=_color(),
    )


def _write_crash(error: Exception, arguments: Sequence[str]) -> Path:
    """Write what is needed to find a bug; values of -e may be secrets, so only their names are kept."""
    import platform
    import time
    import traceback

    from kubeforge import __version__
    from kubeforge.artifacts.cache import cache_root

    folder = cache_root() / "crashes"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    shown = [argument.partition("=")[0] + "=…" if "=" in argument else argument for argument in arguments]
    lines = [
        f"kubeforge {__version__}, Python {platform.python_version()}, {platform.platform()}\n",
        f"arguments: {shown}\n\n",
        *traceback.format_exception(error),
    ]
    path.touch(mode=0o600, exist_ok=False)
    path.write_text("".join(lines), encoding="utf-8")
    return path
