"""Cgroups of labs on machines with v1, hybrid and pure v2 hierarchies.

A lab has one cgroup, named after its number, in every hierarchy that is mounted, and below it one per host and one
for its monitors. They lie below the caller's own cgroup, so whatever limits the caller limits the lab too. Nothing
about them is remembered: they are found again by their name, and a lab's processes by them.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kubeforge.errors import LabError
from kubeforge.lab import constants

__all__ = [
    "Hierarchy",
    "bases",
    "find",
    "hierarchies",
    "join",
    "kill",
    "make",
    "parse_hierarchies",
    "processes",
    "remove",
]

_V2 = "cgroup2"
_OTHER_OPTIONS = {"rw", "ro", "xattr", "clone_children", "cpuset_v2_mode", "noprefix"}
"""Words among a v1 mount's options that are no controllers."""
_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Args:
        mount: where.
        root: which of its cgroups is seen there: `/`, or a container's own.
        controllers: v1: what it controls, e.g. `cpu,cpuacct` split, or `name=systemd`; v2: what it offers.
        unified: whether it is v2.
    """

    mount: Path
    root: str
    controllers: tuple[str, ...]
    unified: bool

    @property
    def key(self) -> str:
        """How /proc/PID/cgroup names it."""
        return "" if self.unified else ",".join(self.controllers)


def parse_hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """Return the hierarchies that a /proc/PID/mountinfo lists, each once, in its order."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind not in {"cgroup", _V2}:
            continue
        root, mount = left.split(" ")[3:5]
        controllers = () if kind == _V2 else _v1_controllers(options)
        hierarchy = Hierarchy(mount=Path(mount), root=root, controllers=controllers, unified=kind == _V2)
        found.setdefault(hierarchy.key, hierarchy)
    return tuple(found.values())


def _v1_controllers(options: str) -> tuple[str, ...]:
    words = [word for word in options.split(",") if word not in _OTHER_OPTIONS]
    return tuple(word for word in words if word.startswith("name=") or "=" not in word)


def hierarchies() -> tuple[Hierarchy, ...]:
    """Return the hierarchies mounted on this machine."""
    return parse_hierarchies(Path("/proc/self/mountinfo").read_text())


def _own_paths() -> dict[str, str]:
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths[",".join(sorted(controllers.split(",")))] = path
    return paths


def _base(hierarchy: Hierarchy, own: str) -> Path:
    """Return the cgroup below which this process makes a lab's.

    In v2 a cgroup that holds processes cannot hand controllers to children: then it is the nearest ancestor
    that can.
    """
    relative = own if hierarchy.root == "/" else own.removeprefix(hierarchy.root)
    folder = hierarchy.mount / relative.lstrip("/")
    if not folder.is_dir():
        return hierarchy.mount
    if not hierarchy.unified or not _controllers(hierarchy.mount):
        return folder
    while folder != hierarchy.mount and (folder / "cgroup.procs").read_text().strip():
        folder = folder.parent
    return folder


def _controllers(folder: Path) -> list[str]:
    """Return what a v2 cgroup can hand down; nothing on hybrid machines, where v1 has what matters."""
    offered = (folder / "cgroup.controllers").read_text().split()
    return offered if "memory" in offered else []


def bases() -> dict[Hierarchy, Path]:
    """Return, for every hierarchy, the cgroup below which this process would make a lab's."""
    own = _own_paths()
    return {
        hierarchy: _base(hierarchy, own.get(",".join(sorted(hierarchy.key.split(","))), "/"))
        for hierarchy in hierarchies()
    }


def make(where: dict[Hierarchy, Path], lab: str, leaf: str) -> dict[Hierarchy, Path]:
    """Make a lab's cgroup `leaf` in every hierarchy.

    Args:
        where: of `bases`.
        lab: name of the lab's cgroup.
        leaf: name of the cgroup below it.

    Returns:
        The cgroup's folder in each hierarchy.

    Raises:
        LabError: the kernel refused.
    """
    made = {}
    for hierarchy, base in where.items():
        try:
            made[hierarchy] = _make_one(hierarchy, base, lab, leaf)
        except OSError as error:
            raise LabError(
                f"no cgroup can be made below {base} ({error.strerror})",
                remedy="run where the cgroup file system is writable, not in a container without its own cgroups",
            ) from error
    return made


def _make_one(hierarchy: Hierarchy, base: Path, lab: str, leaf: str) -> Path:
    parent = base
    for name in (lab, leaf):
        if hierarchy.unified:
            _hand_down(parent)
        folder = parent / name
        folder.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.controllers:
            _copy_cpuset(parent, folder)
        parent = folder
    return parent


def _hand_down(folder: Path) -> None:
    wanted = [f"+{name}" for name in _controllers(folder)]
    if wanted:
        (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def _copy_cpuset(parent: Path, child: Path) -> None:
    # a new v1 cpuset is empty, and nothing may run in it before it is filled
    for name in _CPUSET_FILES:
        if not (child / name).read_text().strip():
            (child / name).write_text((parent / name).read_text())


def join(folders: dict[Hierarchy, Path]) -> None:
    """Move this process into the given cgroups."""
    for folder in folders.values():
        (folder / "cgroup.procs").write_text("0")


def find(lab: str) -> Iterator[Path]:
    """Yield every cgroup that is called `lab`, wherever it lies in any hierarchy."""
    for hierarchy in hierarchies():
        for folder, children, _ in os.walk(hierarchy.mount):
            if lab in children:
                yield Path(folder) / lab
                children.remove(lab)


def processes(folder: Path) -> set[int]:
    """Return the pids of all processes in a cgroup and below it."""
    found: set[int] = set()
    for current, _, _ in os.walk(folder):
        with suppress(FileNotFoundError, OSError):
            found.update(map(int, (Path(current) / "cgroup.procs").read_text().split()))
    return found


def _end(pid: int, folder: Path) -> None:
    """SIGKILL `pid` if it is (still) a process of a cgroup of this name."""
    with suppress(ProcessLookupError, FileNotFoundError):
        descriptor = os.pidfd_open(pid)
        try:
            # now the pid cannot be reused unseen: the descriptor stays with whom it names at this moment
            if f"/{folder.name}" in Path(f"/proc/{pid}/cgroup").read_text():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def kill(folders: Sequence[Path], deadline: float = constants.STOP_DEADLINE) -> None:
    """End every process in some cgroups and below them, and wait until none is left.

    Args:
        folders: the cgroups.
        deadline: seconds.

    Raises:
        LabError: some process outlived SIGKILL.
    """
    end = time.monotonic() + deadline
    while left := {(pid, folder) for folder in folders for pid in processes(folder)}:
        if time.monotonic() > end:
            pids = sorted({pid for pid, _ in left})
            raise LabError(
                f"processes {pids} outlive SIGKILL", remedy="see what they wait for: ps -o pid,stat,wchan,args"
            )
        for pid, folder in left:
            _end(pid, folder)
        time.sleep(constants.POLL)


def remove(folder: Path, deadline: float = constants.STOP_DEADLINE) -> None:
    """Remove a cgroup that holds no process any more, with everything below it.

    Raises:
        LabError: the kernel still holds something in it.
    """
    end = time.monotonic() + deadline
    for current, _, _ in os.walk(folder, topdown=False):
        while True:
            try:
                Path(current).rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                # the dead leave their cgroup a moment after they are gone
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise LabError(
                        f"cgroup {current} stays: {error.strerror}", remedy="run kubeforge lab down again"
                    ) from error
                time.sleep(constants.POLL)
            else:
                break
