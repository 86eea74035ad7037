"""A directory with its owner and permissions; missing parents are made too."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import attribute_lines, check_path, entry_at, owner_lines, type_name
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote

__all__ = ["Directory"]

_PARENT_MODE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(Operation):
    """A directory. A symbolic link to a directory in its place is left as it is.

    Args:
        path: absolute. Parents that are missing are made as root's with mode 0755, and are kept track of.
        owner: user name or number.
        group: group name or number.
        mode: permission bits.
    """

    kind: ClassVar[str] = "directory"

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there and above."""
        return Queries(stats=(*self._parents(), self.path))

    def decide(self, seen: Observation) -> Change | None:
        """Make it, or set owner and permissions."""
        entry = entry_at(self.path, seen, self.title)
        if entry is None:
            return self._made(seen)
        if stat.S_ISLNK(entry.mode):
            return None
        if entry.made:  # it is looked at again when that is done
            entry, was = Entry(stat.S_IFDIR, "", ""), "as the command before makes them"
        else:
            was = f"{entry.owner}:{entry.group} {entry.permissions:04o}"
        if not stat.S_ISDIR(entry.mode):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; a directory shall be there, and it is not replaced",
                step=self.title,
                remedy=f"move {self.path} away on the host",
            )
        lines = attribute_lines(self.path, entry, self.owner, self.group, self.mode)
        if not lines:
            return None
        return self._change(Verb.UPDATE, f"owner and mode are {was}", (self.path,), lines)

    def _parents(self) -> tuple[str, ...]:
        """Every directory above, below the root, outermost first."""
        found = []
        above = posixpath.dirname(self.path)
        while above != "/":
            found.append(above)
            above = posixpath.dirname(above)
        return tuple(reversed(found))

    def _made(self, seen: Observation) -> Change:
        missing = tuple(path for path in self._parents() if entry_at(path, seen, self.title) is None)
        # of five digits: with fewer one below a directory of a group (set-group-ID) would get that bit, too
        parents = (f"mkdir -m {_PARENT_MODE:05o} -- {join(missing)}",) if missing else ()
        chown = owner_lines(self.path, self.owner, self.group)
        chmod = (f"chmod -- {self.mode:04o} {quote(self.path)}",) if chown and self.mode & 0o7000 else ()
        lines = (*parents, f"mkdir -m {self.mode:05o} -- {quote(self.path)}", *chown, *chmod)
        return self._change(Verb.CREATE, "is missing", (*missing, self.path), lines)

    def _change(self, verb: Verb, why: str, touched: tuple[str, ...], lines: tuple[str, ...]) -> Change:
        entries = {path: Entry(stat.S_IFDIR | _PARENT_MODE) for path in touched}
        entries[self.path] = Entry(stat.S_IFDIR | self.mode, self.owner, self.group)
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=Queries(stats=touched),
            effect=Observation(paths=entries),
            lines=lines,
            touches=touched,
        )
