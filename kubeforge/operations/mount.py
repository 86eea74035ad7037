"""A live mount; that it is mounted at boot is a File (a .mount unit) of the task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from kubeforge.operations.attributes import check_path
from kubeforge.operations.model import Change, MountEntry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Mount"]

# Options that the kernel shows in mountinfo under the very name they are given by; others cannot be compared.
_COMPARED = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"})
# Of a mount and of its file system it shows both `ro` and `rw`, and nothing of what is not forbidden.
_OPPOSITES = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec"}
# Types that the kernel shows under another name than mount(8) is given.
_TYPES = {"nfs": ("nfs4",), "ntfs": ("fuseblk", "ntfs3"), "ntfs-3g": ("fuseblk",)}
_NAMED = ("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount(Operation):
    """A mount point.

    Args:
        path: where; the directory must exist when the change is made.
        source: device, directory (with `bind` in options), or name of a virtual file system.
        fstype: file system type; `none` for a bind mount.
        options: as for `mount -o`.
        state: mounted now or not; `absent` needs no more than `path`.
    """

    kind: ClassVar[str] = "mount"

    path: str
    source: str = "none"
    fstype: str = "none"
    options: tuple[str, ...] = ()
    state: Literal["mounted", "absent"] = "mounted"

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what lies on the mount point, and whether that is the device, whatever its name there."""
        return Queries(mounts=(self.path,), tests=(self._device,) if self.source.startswith("/dev/") else ())

    @property
    def _device(self) -> tuple[str, ...]:
        """Succeeds where what is mounted is the device: /dev/vg/data is /dev/mapper/vg-data in mountinfo."""
        there = f"findmnt -nvo SOURCE --mountpoint {quote(self.path)} | tail -n 1"
        return ("sh", "-c", f'[ "$(readlink -f -- {quote(self.source)})" = "$(readlink -f -- "$({there})")" ]')

    def decide(self, seen: Observation) -> Change | None:
        """Mount, remount with other options, mount something else instead, or unmount."""
        now = seen.mounts[self.path]
        if self.state == "absent":
            return None if now is None else self._change(Verb.REMOVE, "is mounted", (self._umount(),), now)
        if now is None:
            return self._change(Verb.CREATE, "is not mounted", (self._mount(),), now)
        if not self._same(now, seen):
            why = f"{now.source} ({now.fstype}) is mounted there"
            return self._change(Verb.UPDATE, why, (self._umount(), self._mount()), now)
        lacking = [option for option in self.options if _lacks(now.options, option)]
        if not lacking:
            return None
        remount = f"mount -o {quote(','.join(('remount', *self.options)))} -- {quote(self.path)}"
        return self._change(Verb.UPDATE, f"lacks {', '.join(lacking)}", (remount,), now)

    def _same(self, now: MountEntry, seen: Observation) -> bool:
        """Whether the same thing is mounted; a bind mount shows another source and type in mountinfo."""
        if {"bind", "rbind"} & set(self.options):
            return True
        kinds = (self.fstype, f"fuse.{self.fstype}", *_TYPES.get(self.fstype, ()))
        if self.fstype != "auto" and now.fstype not in kinds:
            return False
        if self.source.startswith(_NAMED) or now.source.rstrip("/") == self.source.rstrip("/"):
            return True
        if self.source.startswith("/dev/"):
            return seen.tests.get(self._device) == 0
        return self.source.startswith("/") and now.source.startswith("/dev/loop")

    def _umount(self) -> str:
        return f"umount -- {quote(self.path)}"

    def _mount(self) -> str:
        options = f"-o {quote(','.join(self.options))} " if self.options else ""
        return f"mount -t {quote(self.fstype)} {options}-- {quote(self.source)} {quote(self.path)}"

    def _change(self, verb: Verb, why: str, lines: tuple[str, ...], now: MountEntry | None) -> Change:
        mounted = MountEntry(self.source, self.fstype, frozenset(self.options))
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=self.observe(),
            effect=Observation(
                mounts={self.path: None if verb is Verb.REMOVE else mounted},
                tests=dict.fromkeys(self.observe().tests, int(verb is Verb.REMOVE)),
            ),
            lines=lines,
            undo=self._undo(now),
        )

    def _undo(self, now: MountEntry | None) -> tuple[str, ...]:
        """What was mounted is mounted again where it was a plain one; what was not is unmounted, if it still is."""
        if now is None:
            return (f"! mountpoint -q -- {quote(self.path)} || {self._umount()}",)
        if self.state == "absent" and now.source.startswith("/dev/"):
            plain = sorted(now.options & _COMPARED)
            return (
                f"mount -t {quote(now.fstype)} -o {quote(','.join(plain))} -- {quote(now.source)} {quote(self.path)}",
            )
        return ()


def _lacks(now: Collection[str], option: str) -> bool:
    """Whether an option that can be compared is not so."""
    if option in _OPPOSITES:
        return _OPPOSITES[option] in now
    return option in _COMPARED and option not in now
