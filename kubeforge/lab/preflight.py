"""Whether a lab can run on this machine: found out by trying, before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from kubeforge.errors import LabError
from kubeforge.lab import cgroups, commands, constants

__all__ = ["check_kernel", "check_machine", "need_root", "need_tools"]

_PACKAGES: Final = {
    "apt-config": "apt",
    "cp": "coreutils",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sysctl": "procps",
    "unshare": "util-linux",
}
"""Program -> Debian package that brings it."""

_ALWAYS: Final = ("cp", "ip", "nsenter", "setpriv", "ssh", "ssh-keygen", "sysctl", "unshare")

_NAMESPACES: Final = ("mount", "uts", "ipc", "net", "pid", "cgroup")

_TRIES: Final = {
    "overlay": (
        "file system overlay with upper files in {folder}",
        "put the labs on a disk with an ordinary file system: KUBEFORGE_LABS=/some/folder",
        'mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/root"',
    ),
    "device": (
        "device nodes",
        "run where mknod is allowed (CAP_MKNOD), not in a locked-down container",
        'mount -t tmpfs tmpfs "$1/root" && mknod "$1/root/null" c 1 3 && : > "$1/root/null"',
    ),
    "veth": (
        "virtual network links (veth)",
        "modprobe veth, or a kernel with CONFIG_VETH",
        "ip link add kftry0 type veth peer name kftry1",
    ),
    "bridge": (
        "network bridges",
        "modprobe bridge, or a kernel with CONFIG_BRIDGE",
        "ip link add kftry2 type bridge",
    ),
}
"""Name -> (what it is, what to do where it is missing, the line of sh that tries it)."""


def need_root() -> None:
    """Refuse to go on as somebody who is not root.

    Raises:
        LabError: the caller is not root.
    """
    if os.geteuid() != 0:
        raise LabError(
            "a lab needs root: it makes namespaces, mounts and links",
            remedy="run the same command with sudo",
        )


def need_tools(*names: str) -> None:
    """Refuse to go on without some programs.

    Raises:
        LabError: one is missing; the message names the packages.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[name] for name in missing}))
        raise LabError(f"not installed: {', '.join(missing)}", remedy=f"apt-get install {packages}")


def check_machine() -> None:
    """Refuse where a lab cannot run, as far as can be seen without making anything.

    Raises:
        LabError: with what is missing, and what to do about it.
    """
    need_root()
    need_tools(*_ALWAYS)
    _check_cgroups()


def check_kernel(folder: Path) -> None:
    """Refuse where a lab cannot run, by trying all it needs in namespaces that end with the try.

    Args:
        folder: the lab's folder; the caller holds its lock.

    Raises:
        LabError: with what is not possible, and what to do about it.
    """
    trial = folder / ".try"
    commands.run(["rm", "-rf", "--one-file-system", trial])
    for name in ("lower", "upper", "work", "root"):
        (trial / name).mkdir(parents=True)
    try:
        _try_all(trial)
    finally:
        commands.run(["rm", "-rf", "--one-file-system", trial])


def _missing_namespaces() -> list[str]:
    """Return the kinds of namespaces that cannot be made; only asked when all together failed."""
    tries = {
        name: subprocess.run(["unshare", f"--{name}", "--fork", "true"], capture_output=True, check=False)
        for name in _NAMESPACES
    }
    return [name for name, done in tries.items() if done.returncode != 0]


def _check_cgroups() -> None:
    offered: set[str] = set()
    mounted = cgroups.hierarchies()
    for hierarchy in mounted:
        offered.update(hierarchy.controllers)
        if hierarchy.unified:
            offered.update((hierarchy.mount / "cgroup.controllers").read_text().split())
    missing = [name for name in constants.NEEDED_CONTROLLERS if name not in offered]
    if missing:
        raise LabError(
            f"no cgroup controller {', '.join(missing)} is mounted",
            remedy="mount cgroups (package cgroupfs-mount), or boot with cgroup_enable=memory",
        )
    if any(not each.unified for each in mounted) and not {"name=systemd", ""} <= {each.key for each in mounted}:
        raise LabError(
            "cgroup v1 is mounted without the hierarchies systemd keeps its units in",
            remedy="mkdir -p /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; "
            "mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd; "
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
        )


def _try_all(trial: Path) -> None:
    lines = [
        f'if why=$( {{ {line}; }} 2>&1 ); then echo "{name} yes"; else echo "{name} no $why"; fi'
        for name, (_, _, line) in _TRIES.items()
    ]
    spaces = [f"--{name}" for name in _NAMESPACES]
    done = subprocess.run(
        ["unshare", *spaces, "--fork", "sh", "-c", "\n".join(lines), "sh", str(trial)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(
            f"no new namespaces can be made ({', '.join(_missing_namespaces()) or 'all kinds at once'})",
            evidence=done.stderr.splitlines()[-3:],
            remedy="run with all of root's capabilities, not in a container without CAP_SYS_ADMIN",
        )
    for line in done.stdout.splitlines():
        name, _, rest = line.partition(" ")
        if name in _TRIES and not rest.startswith("yes"):
            what, remedy, _ = _TRIES[name]
            raise LabError(
                f"not possible here: {what.format(folder=trial.parent)}",
                evidence=[rest.removeprefix("no ")],
                remedy=remedy,
            )
