"""No swap: not now, and not from /etc/fstab at the next boot."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import entry_at
from kubeforge.operations.file import digest, write_lines
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb

__all__ = ["SwapOff"]

_FSTAB = "/etc/fstab"
_ACTIVE = ("grep", "-qv", "^Filename", "/proc/swaps")  # another line than the heading; no file: no swap in the kernel
_MARK = "# off by kubeforge: "


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapOff(Operation):
    """Swap is off, and its lines in /etc/fstab are comments.

    Swap that systemd finds by itself (a GPT partition, zram-generator) comes back at boot: mask its unit.
    """

    kind: ClassVar[str] = "swap"

    @property
    def title(self) -> str:
        """Its name."""
        return "swap off"

    def observe(self) -> Queries:
        """Ask whether swap is in use, and what /etc/fstab says."""
        return Queries(stats=(_FSTAB,), hashes=(_FSTAB,), reads=(_FSTAB,), tests=(_ACTIVE,))

    def decide(self, seen: Observation) -> Change | None:
        """Switch it off, and comment its lines out."""
        active = seen.tests[_ACTIVE] == 0
        entry = entry_at(_FSTAB, seen, self.title)
        if entry is not None and stat.S_ISREG(entry.mode) and _FSTAB not in seen.contents:
            raise Unreadable(f"{_FSTAB} could not be read", step=self.title, remedy="read it as root")
        old = seen.contents.get(_FSTAB, b"")
        new = _commented(old)
        if not active and new == old:
            return None
        written = entry if new != old else None
        off = ("swapoff -a",) if active else ()
        return Change(
            title=self.title,
            verb=Verb.STOP if active else Verb.UPDATE,
            why=" and ".join([*(["is in use"] if active else []), *([f"is in {_FSTAB}"] if written else [])]),
            guard=Queries(stats=(_FSTAB,), hashes=(_FSTAB,), tests=(_ACTIVE,)),
            effect=self._effect(written, new),
            payload=new if written else None,
            payload_mode=written.permissions if written else 0o600,
            lines=(*off, *(write_lines(_FSTAB, written.owner, written.group, written.permissions) if written else ())),
            undo=("swapon -a",) if active else (),
            touches=(_FSTAB,) if written else (),
        )

    def _effect(self, written: Entry | None, new: bytes) -> Observation:
        off = Observation(tests={_ACTIVE: 1})
        if written is None:
            return off
        entry = Entry(written.mode, written.owner, written.group)
        return off.overlaid(
            Observation(paths={_FSTAB: entry}, hashes={_FSTAB: digest(new)}, contents={_FSTAB: new}),
        )


def _commented(fstab: bytes) -> bytes:
    rows = fstab.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    return "".join(_MARK + row if _is_swap(row) else row for row in rows).encode("utf-8", "surrogateescape")


def _is_swap(row: str) -> bool:
    words = row.split()
    return len(words) >= 3 and not words[0].startswith("#") and words[2] == "swap"
