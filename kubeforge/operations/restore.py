"""What takes things back: a path as it was before, and lines that undo what no path holds."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import attribute_lines, beside, check_path, entry_at, owned_by, owner_lines
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, UnreadablePath, Verb
from kubeforge.operations.shell import quote
from kubeforge.operations.symlink import link_lines
from kubeforge.operations.unit import Unit

__all__ = ["Prior", "Restore", "RestoreUnit", "Steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What was at a path before.

    Args:
        kind: a symbolic link, a directory (its attributes only), or what has been copied.
        target: of a link.
        mode: permission bits of a directory.
        owner: of a link or directory.
        group: of a link or directory.
        deep: the copy is a directory with everything below it.
        copy: where the copy lies on the host.
    """

    kind: Literal["link", "directory", "copy"]
    target: str = ""
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"
    deep: bool = False
    copy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(Operation):
    """A path is again as it was before.

    Args:
        path: absolute.
        prior: what was there; None: nothing.
        purge: a directory that was not there goes with everything that others put into it; otherwise it goes only
            when it is empty.
    """

    kind: ClassVar[str] = "restore"

    path: str
    prior: Prior | None
    purge: bool = False

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there and, for a file, whether it still equals its copy."""
        if self.prior is None or self.prior.kind != "copy":
            return Queries(stats=(self.path,))
        both = (self.path, self.prior.copy)
        return Queries(stats=both, hashes=() if self.prior.deep else both)

    def decide(self, seen: Observation) -> Change | None:
        """Remove what was not there, put back what was."""
        entry = entry_at(self.path, seen, self.title)
        if self.prior is None:
            return None if entry is None else self._change(Verb.REMOVE, "was not there", self._clear(entry), None)
        if self.prior.kind == "link":
            return self._link(self.prior, entry)
        if self.prior.kind == "directory":
            return self._directory(self.prior, entry)
        return self._copy(self.prior, entry, seen)

    def _link(self, prior: Prior, entry: Entry | None) -> Change | None:
        if entry is not None and stat.S_ISLNK(entry.mode) and entry.target == prior.target:
            return None
        lines = (*self._room(entry), *link_lines(self.path, prior.target))
        lines += owner_lines(self.path, prior.owner, prior.group)
        return self._change(
            Verb.UPDATE, f"pointed to {prior.target}", lines, Entry(stat.S_IFLNK | 0o777, target=prior.target)
        )

    def _directory(self, prior: Prior, entry: Entry | None) -> Change | None:
        if entry is not None and stat.S_ISDIR(entry.mode):
            lines = attribute_lines(self.path, entry, prior.owner, prior.group, prior.mode)
        else:
            room = () if entry is None else self._clear(entry)
            made = f"mkdir -m {prior.mode:05o} -- {quote(self.path)}"
            lines = (*room, made, *owner_lines(self.path, prior.owner, prior.group))
        after = Entry(stat.S_IFDIR | prior.mode, prior.owner, prior.group)
        return self._change(Verb.UPDATE, "was a directory with other attributes", lines, after) if lines else None

    def _copy(self, prior: Prior, entry: Entry | None, seen: Observation) -> Change | None:
        kept = entry_at(prior.copy, seen, self.title)
        if kept is None:
            raise Unreadable(
                f"what was at {self.path} before is not at {prior.copy} any more",
                step=self.title,
                remedy="put it back by hand, or go on without this path",
            )
        if not prior.deep and entry is not None and self._equal(prior, entry, kept, seen):
            return None
        temporary = quote(beside(self.path))
        lines = (
            *self._room(entry),
            f"cp -aT --remove-destination -- {quote(prior.copy)} {temporary}",
            f"mv -fT -- {temporary} {quote(self.path)}",
        )
        hashed = seen.hashes.get(prior.copy)
        change = self._change(Verb.UPDATE, "was otherwise", lines, replace(kept, raw=b""))
        known = {} if isinstance(hashed, UnreadablePath) else {self.path: hashed}
        return replace(change, effect=change.effect.overlaid(Observation(hashes=known)))

    def _equal(self, prior: Prior, entry: Entry, kept: Entry, seen: Observation) -> bool:
        same_attributes = entry.mode == kept.mode and owned_by(entry, kept.owner, kept.group)
        return same_attributes and seen.hashes.get(self.path) == seen.hashes.get(prior.copy)

    def _room(self, entry: Entry | None) -> tuple[str, ...]:
        """A rename replaces files and links by itself, a directory must go first."""
        return self._clear(entry) if entry is not None and stat.S_ISDIR(entry.mode) else ()

    def _clear(self, entry: Entry) -> tuple[str, ...]:
        if not stat.S_ISDIR(entry.mode):
            return (f"rm -f -- {quote(self.path)}",)
        if self.purge or (self.prior is not None and self.prior.deep):
            return (f"rm -rf --one-file-system -- {quote(self.path)}",)
        return (f"rmdir {'--ignore-fail-on-non-empty ' if self.prior is None else ''}-- {quote(self.path)}",)

    def _change(self, verb: Verb, why: str, lines: tuple[str, ...], after: Entry | None) -> Change:
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=self.observe(),
            effect=Observation(paths={self.path: after}, hashes={self.path: None} if after is None else {}),
            lines=lines,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreUnit(Operation):
    """A unit's state is taken back; unlike a Unit it is not recorded in a generation.

    Args:
        unit: as it shall be.
        before: whether this comes before the unit's files go back, or after.
    """

    kind: ClassVar[str] = "restore"

    unit: Unit
    before: bool = False

    @property
    def title(self) -> str:
        """Its kind, name and place in the order."""
        return f"{self.kind} {self.unit.name} {'before' if self.before else 'after'} its files"

    def observe(self) -> Queries:
        """Ask what the unit asks."""
        return self.unit.observe()

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the unit does."""
        change = self.unit.decide(seen)
        return None if change is None else replace(change, title=self.title, effect=Observation())


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(Operation):
    """Lines that are always due.

    Args:
        name: the title.
        why: one clause.
        lines: POSIX sh.
        verb: for the plan.
        payload: for `$P`.
        guard: what must still be as seen.
    """

    kind: ClassVar[str] = "steps"

    name: str
    why: str
    lines: tuple[str, ...]
    verb: Verb = Verb.RUN
    payload: bytes | None = None
    guard: Queries = field(default_factory=Queries)

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def observe(self) -> Queries:
        """Ask only what is guarded."""
        return self.guard

    def decide(self, seen: Observation) -> Change | None:  # noqa: ARG002 - always due
        """Run."""
        return Change(
            title=self.name,
            verb=self.verb,
            why=self.why,
            guard=self.guard,
            lines=self.lines,
            payload=self.payload,
        )
