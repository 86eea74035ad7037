"""An archive, unpacked into a directory of a host; a stamp there tells which one was, by its digest."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import dataclass
from typing import ClassVar, Literal

from kubeforge.errors import InputError, Problem, Unreadable
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.file import digest
from kubeforge.operations.model import Change, Content, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Unpacked"]

_WITH_PARENTS = "-e 's,^/*,,' -e '/^$/d' -e ':a' -e 'p;s,/[^/]*$,,;ta'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked(Operation):
    """What an archive holds, below a directory that exists. Files of an earlier archive stay where they are.

    Args:
        path: the directory.
        archive: its bytes, or the path of an archive on the host itself.
        name: of the stamp; two archives in one directory need two.
        form: of the archive; tar finds out about its compression itself.
        strip: leading components of names that are left out; tar only.
        owner: whose its files are; empty: of whoever unpacks it.
        deadline: seconds.
    """

    kind: ClassVar[str] = "unpacked"
    open_ended: ClassVar[bool] = True

    path: str
    archive: Content | str
    name: str
    form: Literal["tar", "zip"] = "tar"
    strip: int = 0
    owner: str = ""
    deadline: float = 600.0

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        if isinstance(self.archive, str):
            check_path(self.archive, self.kind)
        if not self.name or "/" in self.name:
            raise InputError([Problem(message=f"unpacked: {self.name!r} is no name of a stamp")])

    @property
    def title(self) -> str:
        """Its kind, name and directory."""
        return f"{self.kind} {self.name} in {self.path}"

    @property
    def stamp(self) -> str:
        """The file that tells the digest of what was unpacked."""
        return posixpath.join(self.path, f".{self.name}.kubeforge")

    def observe(self) -> Queries:
        """Ask for the stamp, and for the digest of an archive on the host."""
        there = (self.archive,) if isinstance(self.archive, str) else ()
        return Queries(stats=(self.stamp, *there), hashes=there, reads=(self.stamp,))

    def decide(self, seen: Observation) -> Change | None:
        """Unpack it where another one was, or none."""
        wanted = self._digest(seen)
        stamped = seen.contents.get(self.stamp, b"").decode(errors="replace").strip()
        if stamped == wanted:
            return None
        source = '"$P"' if not isinstance(self.archive, str) else quote(self.archive)
        where = quote(self.path)
        unpack = (
            f"unzip -q -o {source} -d {where}"
            if self.form == "zip"
            else f"tar -x -f {source} -C {where} --no-same-owner --strip-components={self.strip}"
        )
        return Change(
            title=self.title,
            verb=Verb.UPDATE if stamped else Verb.CREATE,
            why="another one was unpacked" if stamped else "was not unpacked",
            guard=Queries(stats=(self.stamp,)),
            effect=Observation(
                paths={self.stamp: Entry(stat.S_IFREG | 0o644)}, contents={self.stamp: f"{wanted}\n".encode()}
            ),
            payload=None if isinstance(self.archive, str) else self.archive,
            lines=(unpack, *self._given(source), f"printf '%s\\n' {wanted} >{quote(self.stamp)}"),
            touches=(self.stamp,),
            deadline=self.deadline,
        )

    def _given(self, source: str) -> tuple[str, ...]:
        """Return the line that gives what the archive holds, and the directories above that, to their owner."""
        if not self.owner:
            return ()
        form = f"--show-transformed-names --strip-components={self.strip} --quoting-style=literal"
        listed = f"unzip -Z1 {source}" if self.form == "zip" else f"tar -t -f {source} {form}"
        given = f"xargs -r -d '\\n' chown -h -- {quote(f'{self.owner}:')}"
        return (f"{listed} | sed -n {_WITH_PARENTS} | sort -u | (cd -- {quote(self.path)} && {given})",)

    def _digest(self, seen: Observation) -> str:
        if not isinstance(self.archive, str):
            return digest(self.archive)
        entry_at(self.archive, seen, self.title)
        found = seen.hashes.get(self.archive)
        if not isinstance(found, str):
            raise Unreadable(
                f"the archive {self.archive} is missing on the host",
                step=self.title,
                remedy="download or copy it first",
            )
        return found
