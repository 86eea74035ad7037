"""A big file in the host's content-addressed store, and a link to it in its place."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import check_path, entry_at, type_name
from kubeforge.operations.model import Change, Entry, LocalContent, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote
from kubeforge.operations.symlink import link_lines
from kubeforge.spec import paths

__all__ = ["Artifact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Operation):
    """A file that is kept once per content; another version is another link.

    It is uploaded only where the store lacks its digest, checked there, and only then linked, so what has its digest
    for a name has that content. What was linked before stays in the store for going back.

    Args:
        path: absolute; its directory must exist when the change is made.
        content: the file on the controller.
        mode: permission bits of the stored file.
        selinux: label it as a program, because the store's own label forbids systemd to run it.
        store: the store's folder on the host.
        deadline: seconds, upload not counted.
    """

    kind: ClassVar[str] = "artifact"

    path: str
    content: LocalContent
    mode: int = 0o755
    selinux: bool = False
    store: str = paths.STORE
    deadline: float = 120.0

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    @property
    def stored(self) -> str:
        """Where the store keeps it."""
        return posixpath.join(self.store, self.content.sha256)

    def observe(self) -> Queries:
        """Ask for the link and for the stored file; its content is not read again."""
        return Queries(stats=(self.path, self.stored))

    def decide(self, seen: Observation) -> Change | None:
        """Upload, check and store it where that is due, and link it."""
        entry = entry_at(self.path, seen, self.title)
        if entry is not None and not stat.S_ISLNK(entry.mode) and not stat.S_ISREG(entry.mode):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; a link to a program shall be there, and it is not replaced",
                step=self.title,
                remedy=f"move {self.path} away on the host",
            )
        lacking = entry_at(self.stored, seen, self.title) is None
        linked = entry is not None and entry.target == self.stored
        if linked and not lacking:
            return None
        effect = {
            self.stored: Entry(stat.S_IFREG | self.mode),
            self.path: Entry(stat.S_IFLNK | 0o777, target=self.stored),
        }
        return Change(
            title=self.title,
            verb=Verb.CREATE if entry is None else Verb.UPDATE,
            why=_why(entry, linked, lacking),
            guard=self.observe(),
            effect=Observation(paths=effect),
            payload=self.content if lacking else None,
            payload_mode=self.mode,
            lines=(*(self._store_lines() if lacking else ()), *link_lines(self.path, self.stored)),
            touches=(self.path,),
            deadline=self.deadline,
        )

    def _store_lines(self) -> tuple[str, ...]:
        """Checked and written out to the disk before it gets its name, because nobody hashes it again."""
        label = ('chcon -t bin_t -- "$P"',) if self.selinux else ()
        return (
            f"printf '%s  %s\\n' {quote(self.content.sha256)} \"$P\" | sha256sum -c --quiet -",
            *label,
            'sync -- "$P"',
            f"mkdir -p -- {quote(self.store)}",
            f'mv -fT -- "$P" {quote(self.stored)}',
        )


def _why(entry: Entry | None, linked: bool, lacking: bool) -> str:
    if entry is None:
        return "is missing"
    if linked and lacking:
        return "is not in the store any more"
    return "is a regular file" if stat.S_ISREG(entry.mode) else f"points to {entry.target}"
