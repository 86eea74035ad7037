"""Locks that end with their holder: flock on folders, so that no lock file stays behind."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["hold", "release", "try_hold"]


def _same(descriptor: int, folder: Path) -> bool:
    try:
        there = folder.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def try_hold(folder: Path, *, patience: float = 0.0) -> int | None:
    """Lock an existing folder.

    Args:
        folder: what to lock.
        patience: seconds to go on trying while somebody else holds it.

    Returns:
        The descriptor that holds the lock until it is closed, also by the process's end. None where somebody
        else holds it, or the folder does not exist.
    """
    end = time.monotonic() + patience
    while True:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(descriptor, folder):
                return descriptor
        os.close(descriptor)
        if time.monotonic() >= end:
            return None
        time.sleep(0.01)


def release(descriptor: int) -> None:
    """Give up a lock that `try_hold` gave."""
    os.close(descriptor)


@contextmanager
def hold(folder: Path, *, make: bool = True) -> Iterator[None]:
    """Hold the lock on a folder, waiting for it as long as it takes.

    Programs that `commands.run` starts meanwhile hold it too: when this process is killed, whoever takes the lock
    next knows that they have ended.

    Args:
        folder: what to lock.
        make: make the folder where it does not exist.

    Raises:
        FileNotFoundError: the folder does not exist and is not to be made.
    """
    while True:
        try:
            if make:
                folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if make:  # the lock's last holder removed it, or the folder above it, between two steps
                continue
            raise
        except FileExistsError:  # mkdir found it there, and when it looked whether it is a folder it was gone
            if folder.exists():
                raise
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _same(descriptor, folder):
            break
        os.close(descriptor)
    os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        os.close(descriptor)
