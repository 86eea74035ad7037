"""Runs the machine's own programs (ip, cp, ssh-keygen, mmdebstrap); a failure is a LabError with their own words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kubeforge.errors import LabError

__all__ = ["ip", "ip_batch", "run"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(argv: Sequence[str | Path], *, stdin: str = "", step: str | None = None) -> str:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        stdin: what it reads.
        step: what is being done, for the message.

    Returns:
        What it wrote to its standard output.

    Raises:
        LabError: it could not be started, or failed; its last error lines are the evidence.
    """
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            close_fds=False,  # a lock is passed on, see locks.hold; all other descriptors close by themselves
            env={"PATH": _PATH, "LC_ALL": "C", "HOME": "/root"},
        )
    except FileNotFoundError as error:
        raise LabError(f"there is no program {words[0]!r}", step=step, remedy=f"install {words[0]}") from error
    if done.returncode != 0:
        raise LabError(
            f"{words[0]} ended with {done.returncode}",
            step=step or " ".join(words),
            evidence=done.stderr.splitlines()[-8:],
        )
    return done.stdout


def ip(*arguments: str | Path) -> str:
    """Run iproute2's ip in the machine's own network namespace."""
    return run(["ip", *arguments])


def ip_batch(lines: Sequence[str], *, namespace: Path | None = None, step: str | None = None) -> None:
    """Run several ip commands in one process, in a network namespace if one is given; the first failure ends it."""
    enter = [] if namespace is None else ["nsenter", f"--net={namespace}", "--"]
    run([*enter, "ip", "-batch", "-"], stdin="".join(f"{line}\n" for line in lines), step=step)
