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

__all__ = ["Artifact", "Stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Operation):
    """A file in the store that nothing links to yet: it is on the host before what uses it is stopped.

    Args:
        name: what the plan calls it.
        content: the file on the controller.
        mode: permission bits of the stored file.
        selinux: label it as a program, because the store's own label forbids systemd to run it.
        store: the store's folder on the host.
        deadline: seconds, upload not counted.
    """

    kind: ClassVar[str] = "stored"

    name: str
    content: LocalContent
    mode: int = 0o755
    selinux: bool = False
    store: str = paths.STORE
    deadline: float = 120.0

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def path(self) -> str:
        """Where the store keeps it."""
        return posixpath.join(self.store, self.content.sha256)

    def observe(self) -> Queries:
        """Ask whether it is there; its content is not read again."""
        return Queries(stats=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Upload and check it where the store lacks it."""
        if entry_at(self.path, seen, self.title) is not None:
            return None
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why="is not in the store",
            guard=self.observe(),
            effect=Observation(paths={self.path: Entry(stat.S_IFREG | self.mode)}),
            payload=self.content,
            payload_mode=self.mode,
            lines=self.lines(),
            touches=(self.path,),
            deadline=self.deadline,
        )

    def lines(self) -> tuple[str, ...]:
        """Checked and written out to the disk before it gets its name, because nobody hashes it again."""
        label = ('chcon -t bin_t -- "$P"',) if self.selinux else ()
        return (
            f"printf '%s  %s\\n' {quote(self.content.sha256)} \"$P\" | sha256sum -c --quiet -",
            *label,
            'sync -- "$P"',
            f"mkdir -p -- {quote(self.store)}",
            f'mv -fT -- "$P" {quote(self.path)}',
        )


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
    def stored(self) -> Stored:
        """The file it links to."""
        return Stored(
            name=self.path,
            content=self.content,
            mode=self.mode,
            selinux=self.selinux,
            store=self.store,
            deadline=self.deadline,
        )

    def observe(self) -> Queries:
        """Ask for the link and for the stored file; its content is not read again."""
        return Queries(stats=(self.path, self.stored.path))

    def decide(self, seen: Observation) -> Change | None:
        """Upload, check and store it where that is due, and link it."""
        entry = entry_at(self.path, seen, self.title)
        if entry is not None and not stat.S_ISLNK(entry.mode) and not stat.S_ISREG(entry.mode):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; a link to a program shall be there, and it is not replaced",
                step=self.title,
                remedy=f"move {self.path} away on the host",
            )
        target = self.stored.path
        lacking = entry_at(target, seen, self.title) is None
        linked = entry is not None and entry.target == target
        if linked and not lacking:
            return None
        effect = {
            target: Entry(stat.S_IFREG | self.mode),
            self.path: Entry(stat.S_IFLNK | 0o777, target=target),
        }
        return Change(
            title=self.title,
            verb=Verb.CREATE if entry is None else Verb.UPDATE,
            why=_why(entry, linked, lacking),
            guard=self.observe(),
            effect=Observation(paths=effect),
            payload=self.content if lacking else None,
            payload_mode=self.mode,
            lines=(*(self.stored.lines() if lacking else ()), *link_lines(self.path, target)),
            touches=(self.path,),
            deadline=self.deadline,
        )


def _why(entry: Entry | None, linked: bool, lacking: bool) -> str:
    if entry is None:
        return "is missing"
    if linked and lacking:
        return "is not in the store any more"
    return "is a regular file" if stat.S_ISREG(entry.mode) else f"points to {entry.target}"
