"""Kernel parameters and modules, now and at boot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from kubeforge.engine.model import Context
from kubeforge.operations import Absent, Edited, File, KernelModule, Sysctl
from kubeforge.operations.edits import LineEdit
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import one_line
from kubeforge.tasks.registry import task

__all__ = ["module", "sysctl"]


@task("kernel.sysctl", aka=("sysctl",))
def sysctl(
    context: Context,
    *,
    values: Mapping[str, str | int],
    name: str = "90-kubeforge-site",
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """Kernel parameters: set now, and at boot by /etc/sysctl.d/NAME.conf.

    Args:
        values: name -> value: `net.ipv4.ip_forward: 1`.
        name: of the file; its first digits say when it is read.
        state: present; absent: the file goes, and what the kernel has now stays.
    """
    del context
    path = f"/etc/sysctl.d/{name}.conf"
    if state == "absent":
        yield Absent(path=path, reveal=True)
        return
    one_line("kernel.sysctl", **{key: str(value) for key, value in values.items()})
    rows = "".join(f"{key} = {value}\n" for key, value in sorted(values.items()))
    yield File(path=path, content=f"# Written by kubeforge.\n{rows}".encode())
    yield from (Sysctl(name=key, value=str(value)) for key, value in sorted(values.items()))


@task("kernel.module", aka=("modprobe", "kernel_blacklist"))
def module(
    context: Context, *, name: str, options: str = "", state: Literal["present", "absent", "blocked"] = "present"
) -> Iterator[Operation]:
    """A kernel module: loaded now, and at boot.

    Args:
        name: as modprobe knows it.
        options: for /etc/modprobe.d; they count from the next time it is loaded.
        state: present; absent: not at boot any more; blocked: never loaded by itself. One that is loaded stays.
    """
    del context
    load, conf = f"/etc/modules-load.d/{name}.conf", f"/etc/modprobe.d/{name}.conf"
    rows = [f"options {name} {options}"] if options else []
    rows += [f"blacklist {name}"] if state == "blocked" else []
    if rows:
        yield File(path=conf, content="".join(f"{row}\n" for row in rows).encode())
    elif state == "absent":
        yield Absent(path=conf, reveal=True)
    else:  # systemd-modules-load(8) passes over what is blocked
        free = LineEdit(match=rf"^\s*blacklist\s+{re.escape(name)}\s*$", state="absent")
        yield Edited(path=conf, edit=free)
    if state == "present":
        yield File(path=load, content=f"{name}\n".encode())
        yield KernelModule(name=name)
    else:
        yield Absent(path=load, reveal=True)
