"""What PID 1 of a host does before it becomes systemd: its own root, /proc, /sys, cgroups and devices.

Runs in the first process of the host's new pid namespace, forked from the monitor. No third-party import here.
Not a security boundary: root in a host keeps most capabilities.
"""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from kubeforge.lab import cgroups, constants
from kubeforge.lab.cgroups import Hierarchy
from kubeforge.lab.layout import HostPaths
from kubeforge.lab.syscalls import (
    MountFlag,
    Namespace,
    die_with_parent,
    drop_from_bounding_set,
    mount,
    pivot_root,
    set_host_name,
    unmount_lazily,
    unshare,
)

__all__ = ["Boot", "become_init"]

_INERT = MountFlag.NO_SUID | MountFlag.NO_DEV | MountFlag.NO_EXEC
_INIT = ("/sbin/init", "--show-status=1")
"""With each unit's state on the console: what an error shows when a host does not come up."""
_ENVIRONMENT = {
    "container": "kubeforge",  # tells systemd not to treat the machine as its own
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
    "SYSTEMD_COLORS": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """All that one boot needs to know.

    Args:
        host: the host's files.
        image: the root file system that hosts share.
        cgroups: the host's cgroup in every hierarchy.
        console: the terminal that becomes its /dev/console.
    """

    host: HostPaths
    image: Path
    cgroups: dict[Hierarchy, Path]
    console: Path


def become_init(boot: Boot, *, ready: int, proceed: int) -> NoReturn:
    """Turn this process into a host's init.

    Args:
        boot: what to boot.
        ready: descriptor to write one byte to once the namespaces exist.
        proceed: descriptor to read one byte from before going on; its end means that the monitor is gone.
    """
    try:
        die_with_parent(signal.SIGKILL)
        os.setsid()
        _redirect(boot.host.console)
        cgroups.join(boot.cgroups)
        unshare(Namespace.MOUNT | Namespace.CGROUP | Namespace.UTS | Namespace.IPC | Namespace.NET)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")  # new namespaces copy it from the machine
        os.write(ready, b"1")
        if os.read(proceed, 1) != b"1":
            os._exit(98)
        _build_root(boot)
        _enter_root(boot.host.root)
        set_host_name(boot.host.name)
        for number in constants.DROPPED_CAPABILITIES.values():
            drop_from_bounding_set(number)
        os.execve(_INIT[0], _INIT, _ENVIRONMENT)  # noqa: S606 - that is what an init is
    except BaseException as error:  # noqa: BLE001 - nobody above: the console is where the reason can be said
        os.write(2, f"kubeforge lab: {boot.host.name} cannot boot: {error}\n".encode())
        os._exit(99)


def _redirect(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)


def _build_root(boot: Boot) -> None:
    host, root = boot.host, boot.host.root
    mount(None, "/", None, MountFlag.RECURSIVE | MountFlag.PRIVATE)
    _mount_overlay(boot.image, host)
    mount(host.data, root / constants.REAL_DISK.lstrip("/"), None, MountFlag.BIND)
    mount("proc", root / "proc", "proc", _INERT)
    _hide_machine_sysctls(host)
    mount("sysfs", root / "sys", "sysfs", _INERT)
    _mount_cgroups(root / "sys/fs/cgroup", tuple(boot.cgroups))
    mount(None, root / "sys", None, MountFlag.REMOUNT | MountFlag.BIND | MountFlag.READ_ONLY | _INERT)
    previous = os.umask(0)
    _make_devices(root / "dev", boot.console)
    mount("tmpfs", root / "run", "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "mode=755")
    (root / "run/lock").mkdir(mode=0o1777)
    mount("tmpfs", root / "tmp", "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "mode=1777")
    os.umask(previous)


def _mount_overlay(image: Path, host: HostPaths) -> None:
    """Mount the host's root without syncs to disk (`volatile`).

    Without it the end of every host syncs the machine's whole file system, which takes seconds when it is busy. The
    kernel marks such a layer, because a crash of the machine may have damaged it, and refuses it from then on; a lab's
    host is no more than that worth, so the mark is removed.
    """
    mark = host.work / "work/incompat/volatile"
    if mark.exists():
        shutil.rmtree(mark)
    layers = f"lowerdir={image},upperdir={host.upper},workdir={host.work},volatile"
    mount("overlay", host.root, "overlay", 0, layers)


def _hide_machine_sysctls(host: HostPaths) -> None:
    """Bind a file of the host's own over every kernel parameter that belongs to the whole machine."""
    (host.sysctls / constants.BOOT_ID.replace("/", ".")).write_text(f"{uuid.uuid4()}\n")
    for name in (*constants.MACHINE_SYSCTLS, constants.BOOT_ID):
        target = host.root / "proc/sys" / name
        if target.exists():
            mount(host.sysctls / name.replace("/", "."), target, None, MountFlag.BIND)


def _mount_cgroups(folder: Path, hierarchies: tuple[Hierarchy, ...]) -> None:
    """Mount the host's own cgroups; in its cgroup namespace they look like the roots."""
    if all(hierarchy.unified for hierarchy in hierarchies):
        mount("cgroup2", folder, "cgroup2", _INERT)
        return
    mount("tmpfs", folder, "tmpfs", _INERT, "mode=755")
    for hierarchy in hierarchies:
        if hierarchy.unified:
            # without one of its own, systemd mounts the machine's
            (folder / "unified").mkdir()
            mount("cgroup2", folder / "unified", "cgroup2", _INERT)
        else:
            _mount_v1(folder, hierarchy)


def _mount_v1(folder: Path, hierarchy: Hierarchy) -> None:
    if hierarchy.key.startswith("name="):
        name, options = hierarchy.key.removeprefix("name="), f"none,{hierarchy.key},xattr"
    else:
        name = options = hierarchy.key
    (folder / name).mkdir()
    mount("cgroup", folder / name, "cgroup", _INERT, options)
    for controller in hierarchy.controllers:
        if len(hierarchy.controllers) > 1:
            (folder / controller).symlink_to(name)


def _make_devices(dev: Path, console: Path) -> None:
    mount("tmpfs", dev, "tmpfs", MountFlag.NO_SUID, "mode=755,size=4m")
    (dev / "net").mkdir(mode=0o755)
    for name, (major, minor) in constants.DEVICES.items():
        os.mknod(dev / name, 0o20666, os.makedev(major, minor))
    for name, mode in (("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o755)):
        (dev / name).mkdir(mode=mode)
    terminals = "newinstance,ptmxmode=0666,mode=620,gid=5"
    mount("devpts", dev / "pts", "devpts", MountFlag.NO_SUID | MountFlag.NO_EXEC, terminals)
    mount("tmpfs", dev / "shm", "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "size=256m")
    mount("mqueue", dev / "mqueue", "mqueue", _INERT)
    # kmsg is the whole machine's log; the kubelet only wants to open it
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "kmsg": "/dev/null"}
    links |= {name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
    for name, target in links.items():
        (dev / name).symlink_to(target)
    (dev / "console").touch(mode=0o600)
    mount(console, dev / "console", None, MountFlag.BIND)


def _enter_root(root: Path) -> None:
    old = root / "run/.old"
    old.mkdir()
    pivot_root(root, old)
    os.chdir("/")
    unmount_lazily("/run/.old")
    Path("/run/.old").rmdir()
    mount(None, "/", None, MountFlag.RECURSIVE | MountFlag.SHARED)
