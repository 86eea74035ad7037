"""The system calls that Python 3.11 does not offer, by ctypes. Nothing else in the lab uses ctypes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from enum import IntFlag
from pathlib import Path
from typing import Any, Final

__all__ = [
    "MountFlag",
    "Namespace",
    "die_with_parent",
    "drop_from_bounding_set",
    "mount",
    "pivot_root",
    "set_host_name",
    "set_namespace",
    "unmount_lazily",
    "unshare",
]

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_MNT_DETACH: Final = 2
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}


class Namespace(IntFlag):
    """Kinds of namespaces (linux/sched.h)."""

    MOUNT = 0x00020000
    CGROUP = 0x02000000
    UTS = 0x04000000
    IPC = 0x08000000
    PID = 0x20000000
    NET = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2) (linux/mount.h)."""

    READ_ONLY = 1
    NO_SUID = 2
    NO_DEV = 4
    NO_EXEC = 8
    REMOUNT = 32
    BIND = 4096
    RECURSIVE = 16384
    PRIVATE = 1 << 18
    SHARED = 1 << 20


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _check(function: Callable[..., int], what: str, *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _bytes(value: str | Path | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def _prctl(what: str, option: int, argument: int) -> None:
    _check(_libc().prctl, what, option, *(ctypes.c_ulong(number) for number in (argument, 0, 0, 0)))


def mount(
    source: str | Path | None,
    target: str | Path,
    kind: str | None = None,
    flags: int = 0,
    options: str | None = None,
) -> None:
    """Mount something in this mount namespace.

    Args:
        source: device, folder or a word for the mount table.
        target: mount point.
        kind: file system type.
        flags: of MountFlag.
        options: the file system's own options.

    Raises:
        OSError: the kernel refused; the message names target, type and options.
    """
    what = f"mount {kind or source or ''} on {target} {options or ''}".rstrip()
    _check(
        _libc().mount,
        what,
        _bytes(source),
        _bytes(target),
        _bytes(kind),
        ctypes.c_ulong(int(flags)),
        _bytes(options),
    )


def unmount_lazily(target: str | Path) -> None:
    """Take `target` out of the mount table now; the kernel lets go of it when nobody uses it any more."""
    _check(_libc().umount2, f"umount {target}", _bytes(target), _MNT_DETACH)


def unshare(kinds: Namespace) -> None:
    """Put this process into new namespaces (for PID: its next children)."""
    _check(_libc().unshare, f"unshare {kinds!r}", ctypes.c_int(int(kinds)))


def set_namespace(path: str | Path, kind: Namespace) -> None:
    """Enter the namespace that `path` stands for (for PID: the next children do)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc().setns, f"setns {path}", descriptor, ctypes.c_int(int(kind)))
    finally:
        os.close(descriptor)


def pivot_root(new: Path, old: Path) -> None:
    """Make the mount `new` the root of this mount namespace and put the former one at `old`, below it."""
    number = _PIVOT_ROOT[os.uname().machine]
    _check(_libc().syscall, f"pivot_root {new}", number, _bytes(new), _bytes(old))


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    data = name.encode()
    _check(_libc().sethostname, f"sethostname {name}", data, len(data))


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when its parent ends, however that ends."""
    _prctl("die with parent", _PR_SET_PDEATHSIG, signal)


def drop_from_bounding_set(capability: int) -> None:
    """Take a capability away from everything that this process will execute."""
    _prctl(f"drop capability {capability}", _PR_CAPBSET_DROP, capability)
