"""A text file in which something shall be true: one line, one block. What else it holds stays."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import check_path, entry_at, type_name
from kubeforge.operations.edits import Edit
from kubeforge.operations.file import checking, digest, write_lines
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, UnreadablePath, Verb

__all__ = ["Edited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited(Operation):
    """A file with an edit made in it; several of one file add up. A symbolic link is not followed: name its target.

    Args:
        path: absolute.
        edit: what shall be true inside.
        create: whether a file that is missing is made; otherwise that is an error, unless the edit has nothing to do.
        owner: of a file that is made.
        group: likewise.
        mode: likewise.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """

    kind: ClassVar[str] = "edit"

    path: str
    edit: Edit
    create: bool = False
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    validate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind, path, and what is edited."""
        return f"{self.kind} {self.path}: {self.edit.label}"

    def observe(self) -> Queries:
        """Ask for the whole content."""
        return Queries(stats=(self.path,), hashes=(self.path,), reads=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Write the file with the edit made."""
        entry = entry_at(self.path, seen, self.title)
        old = self._text(entry, seen)
        new = self.edit.apply(old)
        if new == old:
            return None
        if entry is None and not self.create:
            raise Unreadable(f"{self.path} is missing", step=self.title, remedy="make it first, or say `create: true`")
        return self._written(entry, new.encode("utf-8", "surrogateescape"))

    def _text(self, entry: Entry | None, seen: Observation) -> str:
        if entry is None:
            return ""
        if not stat.S_ISREG(entry.mode):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; only regular files are edited",
                step=self.title,
                remedy=f"name the file itself: {entry.target}" if entry.target else "name another path",
            )
        found, content = seen.hashes.get(self.path), seen.contents.get(self.path)
        if isinstance(found, UnreadablePath):
            raise Unreadable(f"{self.path} could not be read: {found.why}", step=self.title, remedy="read it as root")
        if content is None or digest(content) != found:
            raise Unreadable(
                f"what {self.path} will hold is not known: this run writes it before, with a secret or by a command",
                step=self.title,
                remedy="write the line where the rest of the file is written, or do it in a playbook of its own",
            )
        return content.decode("utf-8", "surrogateescape")

    def _written(self, entry: Entry | None, new: bytes) -> Change:
        now = entry or Entry(stat.S_IFREG | self.mode, self.owner, self.group)
        check = (checking(self.validate),) if self.validate else ()
        return Change(
            title=self.title,
            verb=Verb.CREATE if entry is None else Verb.UPDATE,
            why="is missing" if entry is None else "other content",
            guard=Queries(stats=(self.path,), hashes=(self.path,)),
            effect=Observation(
                paths={self.path: Entry(now.mode, now.owner, now.group)},
                hashes={self.path: digest(new)},
                contents={self.path: new},
            ),
            payload=new,
            payload_mode=now.permissions,
            lines=(*check, *write_lines(self.path, now.owner, now.group, now.permissions)),
            touches=(self.path,),
        )
