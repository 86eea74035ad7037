"""File systems that are mounted, and swap; both now and at boot by /etc/fstab."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Command, Edited, Mount, Setting, SwapOff
from kubeforge.operations.attributes import check_path
from kubeforge.operations.edits import LineEdit
from kubeforge.operations.model import Operation
from kubeforge.operations.shell import quote
from kubeforge.tasks.registry import task

__all__ = ["mount", "swap_file", "swap_off"]

_FSTAB: Final = "/etc/fstab"
_SIZE: Final = re.compile(r"(\d+)\s*([MG])i?B?")
_MIB: Final = {"M": 1, "G": 1024}
_LONG: Final = 1800.0
_ATTRIBUTES: Final = ("noauto", "nofail", "_netdev", "defaults")  # options of fstab(5) that mount(8) need not be given


@task("mount.present", aka=("mount",))
def mount(
    context: Context,
    *,
    path: str,
    source: str = "",
    fstype: str = "",
    options: str | Sequence[str] = "defaults",
    boot: bool = True,
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A file system: mounted now, and at boot by its line in /etc/fstab.

    Args:
        path: the mount point; made where it is missing.
        source: a device, `UUID=…`, a directory (with `bind`), or the name of a virtual file system.
        fstype: its type; `none` for a bind mount.
        options: a list, or with commas.
        boot: whether it is in /etc/fstab.
        state: present, or absent: unmounted, and not in /etc/fstab.
    """
    del context
    given = tuple(options.split(",") if isinstance(options, str) else options)
    line = LineEdit(
        line="" if state == "absent" else " ".join((_escaped(source), _escaped(path), fstype, ",".join(given), "0 0")),
        match=rf"^\s*[^#\s]\S*\s+{re.escape(_escaped(path))}\s",
        state="present" if state == "present" and boot else "absent",
    )
    if state == "absent":
        yield Edited(path=_FSTAB, edit=line, create=True)
        yield Mount(path=path, state="absent")
        return
    if not source or not fstype:
        raise InputError([Problem(message=f"mount {path}: `source` and `fstype` are needed")])
    yield Edited(path=_FSTAB, edit=line, create=True)
    # not a Directory: what is mounted there has a mode and an owner of its own
    yield Command(argv=("mkdir", "-p", "--", path), creates=path, name=f"make mount point {path}")
    live = tuple(option for option in given if option not in _ATTRIBUTES and not option.startswith("x-"))
    yield Mount(path=path, source=source, fstype=fstype, options=live)


def _escaped(word: str) -> str:
    """As fstab(5) wants white space written."""
    return word.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


@task("swap.file", aka=("swapfile",))
def swap_file(context: Context, *, path: str = "/swapfile", size: str = "1GiB") -> Iterator[Operation]:
    """A file that the kernel swaps to, now and at boot. One that is there keeps its size.

    Args:
        path: absolute; on a file system that can hold swap.
        size: of a new one: `512MiB`, `2GiB`.
    """
    del context
    check_path(path, "swap")
    found = _SIZE.fullmatch(size)
    if found is None:
        raise InputError([Problem(message=f"swap: {size!r} is no size; write it like 512MiB or 2GiB")])
    blocks, new = int(found[1]) * _MIB[found[2]], quote(f"{path}.new")
    script = (
        f"umask 077; rm -f -- {new}; dd if=/dev/zero of={new} bs=1M count={blocks} status=none; "
        f"mkswap -- {new} >/dev/null; mv -T -- {new} {quote(path)}"
    )
    yield Command(argv=("sh", "-ec", script), creates=path, name=f"make swap file {path}", deadline=_LONG)
    match = rf"^{re.escape(_escaped(path))}\s"
    yield Edited(path=_FSTAB, edit=LineEdit(line=f"{_escaped(path)} none swap sw 0 0", match=match), create=True)
    yield Setting(
        name=f"swap {path}",
        probe=f'while read -r f r; do [ "$f" != {quote(_escaped(path))} ] || echo on; done </proc/swaps',
        wanted="on",
        lines=(f"swapon -- {quote(path)}",),
    )


@task("swap.off")
def swap_off(context: Context) -> Iterator[Operation]:
    """No swap: not now, and not from /etc/fstab at the next boot."""
    del context
    yield SwapOff()
