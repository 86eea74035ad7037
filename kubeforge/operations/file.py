"""A regular file with its content, owner and permissions."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import (
    attribute_lines,
    beside,
    check_path,
    entry_at,
    owner_lines,
    put_in_place,
    type_name,
)
from kubeforge.operations.model import (
    Change,
    Content,
    Entry,
    LocalContent,
    Observation,
    Operation,
    Queries,
    UnreadablePath,
    Verb,
)
from kubeforge.operations.shell import quote

__all__ = ["File", "checking", "digest", "write_lines"]


def digest(content: Content) -> str:
    """Return the SHA-256 of `content`, hex."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else content.sha256


def write_lines(path: str, owner: str, group: str, mode: int) -> tuple[str, ...]:
    """Return the lines that put the staged payload at `path` atomically: beside it, then renamed over it.

    The payload is staged with its permissions and a fresh time of modification, and `cp -p` keeps both.
    """
    temporary = quote(beside(path))
    chown = owner_lines(beside(path), owner, group)
    chmod = (f"chmod -- {mode:04o} {temporary}",) if chown and mode & 0o7000 else ()
    copy = f'cp -pT --remove-destination -- "$P" {temporary}'
    return put_in_place(path, (copy, *chown, *chmod))


def checking(argv: Sequence[str]) -> str:
    """Return the line that runs a command on the staged payload, which stands for `%s`."""
    return " ".join('"$P"' if word == "%s" else quote(word) for word in argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Operation):
    """A regular file. A symbolic link in its place is replaced, but refused where no `content` is said; so is all else.

    Args:
        path: absolute; its directory must exist when the change is made.
        content: what it holds; None: it exists, with whatever content.
        owner: user name or number.
        group: group name or number.
        mode: permission bits.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """

    kind: ClassVar[str] = "file"

    path: str
    content: Content | None
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    validate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there and for its digest."""
        return Queries(stats=(self.path,), hashes=() if self.content is None else (self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Write it whole, or set owner and permissions only."""
        entry = entry_at(self.path, seen, self.title)
        if entry is None:
            return self._written(Verb.CREATE, "is missing")
        if stat.S_ISLNK(entry.mode):
            if self.content is None:
                raise Unreadable(
                    f"{self.path} is a symbolic link, and what it leads to would be lost from sight",
                    step=self.title,
                    remedy=f"name the file itself: {entry.target}",
                )
            return self._written(Verb.UPDATE, f"is a symbolic link to {entry.target}")
        if not stat.S_ISREG(entry.mode):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; a file shall be there, and it is not replaced",
                step=self.title,
                remedy=f"move {self.path} away on the host",
            )
        if self.content is not None and self._hash(seen) != digest(self.content):
            return self._written(Verb.UPDATE, "other content")
        return self._attributes(entry)

    def _hash(self, seen: Observation) -> str | None:
        found = seen.hashes.get(self.path)
        if isinstance(found, UnreadablePath):
            raise Unreadable(f"{self.path} could not be read: {found.why}", step=self.title, remedy="read it as root")
        return found

    def _effect(self, *, sha256: str | None) -> Observation:
        entry = Entry(stat.S_IFREG | self.mode, self.owner, self.group)
        return Observation(paths={self.path: entry}, hashes={} if sha256 is None else {self.path: sha256})

    def _written(self, verb: Verb, why: str) -> Change:
        content = b"" if self.content is None else self.content
        lines = write_lines(self.path, self.owner, self.group, self.mode)
        if isinstance(content, LocalContent):
            lines = (f"printf '%s  %s\\n' {content.sha256} \"$P\" | sha256sum -c --quiet -", *lines)
        if self.validate:
            lines = (checking(self.validate), *lines)
        effect = self._effect(sha256=digest(content))
        if isinstance(content, bytes):
            effect = effect.overlaid(Observation(contents={self.path: content}))
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=self.observe(),
            effect=effect,
            payload=content,
            payload_mode=self.mode,
            lines=lines,
            touches=(self.path,),
        )

    def _attributes(self, entry: Entry) -> Change | None:
        lines = attribute_lines(self.path, entry, self.owner, self.group, self.mode)
        if not lines:
            return None
        was = f"{entry.owner}:{entry.group} {entry.permissions:04o}"
        return Change(
            title=self.title,
            verb=Verb.UPDATE,
            why=f"owner and mode are {was}",
            guard=self.observe(),
            effect=self._effect(sha256=None),
            lines=lines,
            touches=(self.path,),
        )
