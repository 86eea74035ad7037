"""The hosts' root file system: made once by mmdebstrap from the machine's own apt sources, then taken from the cache.

A root file system in the cache is complete: it is made in a folder of another name and renamed. A second process
that wants the same one waits for the first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubeforge.artifacts.cache import cache_root
from kubeforge.errors import LabError
from kubeforge.lab import commands, locks, preflight
from kubeforge.lab.progress import Progress, timed
from kubeforge.lab.recipe import Recipe, apt_options, debian_sources

__all__ = ["cache_folder", "ensure", "machine_recipe"]

_APT = Path("/etc/apt")
_OS_RELEASE = Path("/etc/os-release")


def cache_folder() -> Path:
    """Return the folder of cached root file systems."""
    return cache_root() / "rootfs"


def machine_recipe() -> Recipe:
    """Return the recipe for a root file system of the machine's own Debian release.

    Raises:
        LabError: the machine has no apt sources of a Debian release.
    """
    suite = _suite()
    files = [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*"))]
    texts = {str(file): file.read_text() for file in files if file.is_file()}
    sources = debian_sources(texts, suite)
    if not sources:
        raise LabError(
            f"no apt source of {suite or 'a Debian release'} is configured on this machine",
            step="root file system",
            remedy="the lab needs a Debian or Ubuntu machine with a `deb … main` source of its own release",
        )
    return Recipe(suite=suite, sources=sources, options=apt_options(commands.run(["apt-config", "dump"])))


def _suite() -> str:
    lines = _OS_RELEASE.read_text().splitlines() if _OS_RELEASE.exists() else []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"')


def ensure(progress: Progress) -> Path:
    """Return a root file system, made now if the cache has none.

    Args:
        progress: told when it is made, which takes a minute.

    Raises:
        LabError: it cannot be made; the tool's last lines are the evidence.
    """
    preflight.need_tools("apt-config")
    recipe = machine_recipe()
    folder = cache_folder()
    image = folder / recipe.key
    if image.is_dir():
        return image
    preflight.need_tools("mmdebstrap")
    with _only_builder(folder, progress):
        if not image.is_dir():
            with timed(progress, f"root file system ({recipe.suite}, made once)"):
                _build(recipe, folder, image)
    return image


@contextmanager
def _only_builder(folder: Path, progress: Progress) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    if (lock := locks.try_hold(folder)) is None:
        progress.note("another kubeforge makes the root file system: waiting for it")
    else:
        locks.release(lock)
    with locks.hold(folder):
        yield


def _build(recipe: Recipe, folder: Path, image: Path) -> None:
    for leftover in folder.glob(".new-*"):  # of a builder that was killed: nobody else has the lock
        commands.run(["rm", "-rf", "--one-file-system", leftover])
    draft = folder / f".new-{recipe.key}"
    draft.mkdir()
    hook = draft / "hook"
    hook.write_text(f"#!/bin/sh\n{recipe.hook}")
    hook.chmod(0o755)
    log = folder / f"{recipe.key}.log"
    try:
        _run_logged(recipe.command(str(draft / "root"), str(hook)), log)
    except BaseException:
        commands.run(["rm", "-rf", "--one-file-system", draft])
        raise
    (draft / "root").rename(image)
    hook.unlink()
    draft.rmdir()


def _run_logged(command: list[str], log: Path) -> None:
    # setpriv: a builder that is killed takes its tool with it
    with log.open("w") as output:
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            close_fds=False,  # it holds the lock with us, see locks.hold
        )
    if done.returncode != 0:
        raise LabError(
            f"mmdebstrap ended with {done.returncode}",
            step="root file system",
            evidence=log.read_text(errors="replace").splitlines()[-12:],
            remedy=f"see {log}; try apt-get update",
        )
