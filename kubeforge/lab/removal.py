"""How a lab goes: everything that is really there is found and removed, whatever has crashed before.

What belongs to a lab is found by its number (claims): cgroups and their processes, the machine's link; and by its
folder: mounts, files. The folder goes last, so what is left after a crash can be removed by the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kubeforge.errors import LabError
from kubeforge.lab import cgroups, commands, constants, locks, network, preflight, sysctls, waiting
from kubeforge.lab.claims import claim, claims, release
from kubeforge.lab.layout import LabPaths, labs_folder
from kubeforge.lab.progress import Progress, Silent, timed
from kubeforge.lab.record import LabRecord, check_name
from kubeforge.lab.syscalls import unmount_lazily

__all__ = ["choose", "clear", "end_processes", "machine_lock", "remains", "remove"]


def remains() -> list[str]:
    """Return the names of all labs, whole or not, that have a folder."""
    folder = labs_folder()
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(name for name in names if not name.startswith("."))


def choose(name: str | None) -> str:
    """Return the name that was given, or that of the only lab there is, whole or not.

    Raises:
        LabError: no name was given, and there is not exactly one.
    """
    names = [name] if name else remains()
    if len(names) == 1:
        return names[0]
    if names:
        raise LabError(f"there are several labs: {', '.join(names)}", remedy="name one, or say --all")
    raise LabError("there is no lab", remedy="kubeforge lab up")


def remove(name: str, progress: Progress | None = None) -> None:
    """Remove a lab, or what a crash has left of one; nothing happens where there is nothing.

    Args:
        name: the lab's.
        progress: told what happens.

    Raises:
        LabError: something does not go away.
    """
    preflight.need_root()
    check_name(name)
    listener = progress or Silent()
    paths = LabPaths.of(name)
    if paths.folder.is_dir():
        with timed(listener, f"lab {name} down"), locks.hold(paths.folder):
            clear(paths)
            paths.folder.rmdir()
    else:
        listener.note(f"there is no lab {name}")
    _tidy_machine(listener)


def clear(paths: LabPaths) -> None:
    """End and remove everything that belongs to a lab, but for its own folder; the caller holds its lock.

    Args:
        paths: the lab's files.

    Raises:
        LabError: something does not go away.
    """
    record = None
    with suppress(LabError):  # an unreadable record is of no use; the claim says the number too
        record = LabRecord.read(paths.record)
    paths.record.unlink(missing_ok=True)  # first: a monitor that is just starting looks for it
    for number in _numbers(paths, record):
        end_processes(number)
        network.remove(number, paths)
        with machine_lock() as machine:
            release(machine, number)
    for point in network.mounts_below(paths.folder):
        unmount_lazily(point)
    for entry in paths.folder.iterdir():
        _remove_tree(entry)


def _remove_tree(entry: Path) -> None:
    """Remove a tree to which a program that a killed `up` had started may still write for a moment."""
    said: list[str] = []

    def gone() -> bool:
        try:
            commands.run(["rm", "-rf", "--one-file-system", entry])
        except LabError as error:
            said[:] = error.evidence
        return not entry.exists()

    waiting.until(gone, f"{entry} is removed", deadline=constants.STOP_DEADLINE, evidence=lambda: said)


def _numbers(paths: LabPaths, record: LabRecord | None) -> list[int]:
    """Return the numbers that are this lab's, and nobody else's."""
    with machine_lock() as machine:
        if record is not None:
            with suppress(LabError):  # by now another lab's: this one was off since the machine's last boot
                claim(machine, record.number, paths.folder)
        return [number for number, owner in claims(machine).items() if owner == paths.folder]


def end_processes(number: int) -> None:
    """End everything that runs in a lab's cgroups, and remove these."""
    groups = list(cgroups.find(constants.CGROUP_NAME.format(number=number)))
    cgroups.kill(groups)
    for group in groups:
        cgroups.remove(group)


@contextmanager
def machine_lock() -> Iterator[Path]:
    """Hold the lock of everything that labs share; gives its folder. Taken after a lab's own lock, never before."""
    folder = Path(constants.MACHINE_FOLDER)
    with locks.hold(folder):
        yield folder


def _tidy_machine(progress: Progress) -> None:
    with machine_lock() as machine:
        for number, owner in claims(machine).items():
            if not owner.is_dir():  # its folder was removed by hand, and it may still run
                end_processes(number)
                network.remove_uplink(number)
                release(machine, number)
        if not claims(machine):
            sysctls.put_back(progress, machine)
        default = Path(constants.LABS_FOLDER)
        for folder in (machine, default, default.parent):
            with suppress(OSError):  # not empty, or not there: both are fine
                folder.rmdir()
