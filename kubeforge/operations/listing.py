"""A file that lists what is in some directories: names, kinds, owners and permissions, no contents."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.operations.attributes import beside, check_path, entry_at
from kubeforge.operations.model import Change, Entry, Listed, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote

__all__ = ["LISTED_FIELDS", "Listing", "find_lines", "listed", "parse_listing", "told"]

_FORMAT = r"%p\0%y\0%m\0%U\0%G\0"
LISTED_FIELDS = 5
"""NUL-terminated fields of one record of `find_lines`."""
_TOLD = 6  # names in one sentence


def find_lines(paths: Iterable[str], depth: int | None = None) -> Iterator[str]:
    """Yield lines that print records of what is at and below `paths`, on their file systems.

    A path that is a symbolic link is followed, others are not. What goes away meanwhile is left out.

    Args:
        paths: they exist.
        depth: levels below the paths; None: all.
    """
    limit = "" if depth is None else f"-maxdepth {depth} "
    for path in paths:
        yield f"find -H {quote(path)} -xdev {limit}-ignore_readdir_race -printf '{_FORMAT}'"


def listed(records: Iterable[Sequence[bytes]]) -> dict[str, Listed]:
    """Return path -> what is there, from the records that `find_lines` prints."""
    return {
        path.decode("utf-8", "surrogateescape"): Listed(kind.decode(), int(mode, 8), owner.decode(), group.decode())
        for path, kind, mode, owner, group in records
    }


def parse_listing(content: bytes) -> dict[str, Listed]:
    """Return path -> what was there, from the content of a list.

    Raises:
        ValueError: it is none.
    """
    fields = content.split(b"\0")[:-1]
    return listed(fields[start : start + LISTED_FIELDS] for start in range(0, len(fields), LISTED_FIELDS))


def told(paths: Sequence[str], top: str) -> str:
    """Return the first few of `paths` for people: as seen from `top`, and whatever their bytes are, printable."""
    names = [posixpath.relpath(path, top).encode("utf-8", "surrogateescape") for path in paths]
    texts = [name.decode("utf-8", "backslashreplace") for name in names]
    plain = [text if text.isprintable() else text.encode("unicode_escape").decode() for text in texts]
    more = len(plain) - _TOLD
    return ", ".join(plain) if more <= 1 else f"{', '.join(plain[:_TOLD])} and {more} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Operation):
    """A list of what is there at the moment of the act; one that exists is left as it is.

    Args:
        path: of the list, absolute; its directory must exist.
        trees: directories listed with everything below them.
        folders: directories listed with their entries.
        paths: listed alone.
        keep: paths whose content the generation keeps, whatever becomes of them.
    """

    kind: ClassVar[str] = "listing"

    path: str
    trees: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in (self.path, *self._listed, *self.keep):
            check_path(path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    @property
    def _listed(self) -> tuple[str, ...]:
        return (*self.trees, *self.folders, *self.paths)

    def observe(self) -> Queries:
        """Ask for the list, and which of the directories are there."""
        return Queries(stats=(self.path, *self._listed, *self.keep))

    def decide(self, seen: Observation) -> Change | None:
        """Write it where it is missing."""
        if entry_at(self.path, seen, self.title) is not None:
            return None
        there = [path for path in self._listed if entry_at(path, seen, self.title) is not None]
        lines = [
            line
            for paths, depth in ((self.trees, None), (self.folders, 1), (self.paths, 0))
            for line in find_lines([path for path in paths if path in there], depth)
        ]
        temporary = quote(beside(self.path))
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why=f"these are there already: {', '.join(there)}" if there else "nothing is there yet",
            guard=self.observe(),
            effect=Observation(paths={self.path: Entry(stat.S_IFREG | 0o600)}),
            lines=(
                f": >{temporary}",
                *(f"{line} >>{temporary}" for line in lines),
                f"chmod -- 0600 {temporary}",
                join(("mv", "-fT", "--", beside(self.path), self.path)),
            ),
            touches=self.keep,
        )
