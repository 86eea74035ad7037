"""A symbolic link."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import beside, check_path, entry_at, type_name
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Symlink", "link_lines"]


def link_lines(path: str, target: str) -> tuple[str, ...]:
    """Return the lines that put a link to `target` at `path` atomically."""
    temporary = quote(beside(path))
    return (f"ln -sfT -- {quote(target)} {temporary}", f"mv -fT -- {temporary} {quote(path)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink(Operation):
    """A symbolic link. A regular file or another link in its place is replaced, a directory is refused.

    Args:
        path: absolute; its directory must exist when the change is made.
        target: what the link holds, byte for byte; it need not exist.
    """

    kind: ClassVar[str] = "symlink"

    path: str
    target: str

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there; a link comes with its target."""
        return Queries(stats=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Link, or link anew."""
        entry = entry_at(self.path, seen, self.title)
        if entry is None:
            return self._linked(Verb.CREATE, "is missing")
        if stat.S_ISLNK(entry.mode):
            return None if entry.target == self.target else self._linked(Verb.UPDATE, f"points to {entry.target}")
        if stat.S_ISREG(entry.mode):
            return self._linked(Verb.UPDATE, "is a regular file")
        raise Unreadable(
            f"{self.path} is {type_name(entry)}; a symbolic link shall be there, and it is not replaced",
            step=self.title,
            remedy=f"move {self.path} away on the host",
        )

    def _linked(self, verb: Verb, why: str) -> Change:
        entry = Entry(stat.S_IFLNK | 0o777, target=self.target)
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=self.observe(),
            effect=Observation(paths={self.path: entry}),
            lines=link_lines(self.path, self.target),
            touches=(self.path,),
        )
