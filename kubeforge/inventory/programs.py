"""Programs that answer for an inventory, or with a password: with a deadline, and ended with all they began."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["ProgramError", "output_of"]

_LINES: Final = 8


class ProgramError(Exception):
    """A program gave no answer; the message says why, with its last words."""


def output_of(path: Path, arguments: Sequence[str], *, deadline: float) -> bytes:
    """Return what a program prints.

    Args:
        path: an executable; run in the caller's folder, without input.
        arguments: its arguments.
        deadline: seconds.

    Raises:
        ProgramError: it cannot be started, fails, or does not end in time.
    """
    command = [str(path.absolute()), *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"cannot be run: {error.strerror}; is it executable, and is the program in its first line "
                           "there?") from error  # fmt: skip
    with process:
        try:
            out, err = process.communicate(timeout=deadline)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProgramError(f"{_said(arguments)} did not end within {deadline:g} s") from error
            raise
    if process.returncode:
        words = err.decode(errors="replace").strip().splitlines()[-_LINES:]
        raise ProgramError(f"{_said(arguments)} failed with exit code {process.returncode}{_told(words)}")
    return out


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and everything it began: what it left behind would hold the pipes open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _said(arguments: Sequence[str]) -> str:
    return f"`{' '.join(arguments)}`" if arguments else "it"


def _told(words: Sequence[str]) -> str:
    return ": " + " | ".join(words) if words else " and said nothing"
