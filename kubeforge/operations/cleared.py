"""A directory in which nothing is but what was there before."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kubeforge.operations.attributes import attribute_lines, check_path, entry_at
from kubeforge.operations.listing import told
from kubeforge.operations.model import Change, Entry, Listed, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Cleared"]

# What has become a mount point since is emptied: it can no more be removed than it could be renamed.
_WHOLE = (
    "if mountpoint -q -- {path}; then find {path} -xdev -mindepth 1 -delete; "
    "else rm -rf --one-file-system -- {path}; fi"
)
# One step a line, because a pipe hides what fails in front of it. A directory that goes takes all below it along, and
# then nothing of that is missed.
_BUT = (
    'find -H {path} -xdev -mindepth 1 {limit}-ignore_readdir_race -print0 >"$P.found"',
    'sort -z -o "$P.found" "$P.found"',
    'comm -z -23 "$P.found" "$P" >"$P.gone"',
    'xargs -0r rm -rf --one-file-system -- <"$P.gone"',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared(Operation):
    """In a directory nothing is but what is named; the rest goes for good, but never across a mount point.

    Args:
        path: absolute. A symbolic link that stays is followed.
        stays: what was there before: `path` itself and below it; empty: nothing was, and the directory goes, too. Owner
            and permissions of these are put back.
        whole: an entry that stays does so with everything below it, and only entries of `path` are named in `stays`.
        strangers: what goes though nobody knows who made it; the plan names it.
    """

    kind: ClassVar[str] = "clear"

    path: str
    stays: Mapping[str, Listed] = field(default_factory=dict)
    whole: bool = False
    strangers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask whether it is there, and for what stays."""
        return Queries(stats=(self.path, *self.stays))

    def decide(self, seen: Observation) -> Change | None:
        """Remove all the rest; what that is shows when it is done, as long as programs still write there."""
        if entry_at(self.path, seen, self.title) is None:
            return None
        path = quote(self.path)
        if self.stays:
            limit = "-maxdepth 1 " if self.whole else ""
            lines = [line.format(path=path, limit=limit) for line in _BUT] + self._put_back(seen)
        else:
            lines = [_WHOLE.format(path=path)]
        gone = {known: None for known in seen.paths if self._goes(known)}
        return Change(
            title=self.title,
            verb=Verb.REMOVE,
            why=self._why(seen),
            guard=Queries(stats=(self.path,)),
            effect=Observation(paths=gone, hashes=dict(gone)),
            payload=b"".join(_sorted(self.stays)) if self.stays else None,
            lines=tuple(lines),
        )

    def _goes(self, known: str) -> bool:
        if known != self.path and not known.startswith(f"{self.path}/"):
            return False
        entry = posixpath.join(self.path, known[len(self.path) + 1 :].partition("/")[0]) if self.whole else known
        return entry.rstrip("/") not in self.stays

    def _put_back(self, seen: Observation) -> list[str]:
        """What belongs to others may have been given to somebody else meanwhile: etcd's and containerd's do so."""
        lines: list[str] = []
        for path, was in self.stays.items():
            entry = seen.paths.get(path)
            if isinstance(entry, Entry) and not stat.S_ISLNK(entry.mode):
                lines += attribute_lines(path, entry, was.owner, was.group, was.mode)
        return lines

    def _why(self, seen: Observation) -> str:
        if self.stays:
            kept = told(self._named(seen), self.path)
            why = f"all but what was there before: {kept}" if kept else "all in it: it was there before, and empty"
        else:
            why = "was not there before"
        strangers = told(self.strangers, self.path)
        return f"{why}; with it goes what kubeforge does not know: {strangers}" if strangers else why

    def _named(self, seen: Observation) -> list[str]:
        """What stays, without the directories that something else stays in."""
        there = [path for path in sorted(self.stays) if isinstance(seen.paths.get(path), Entry) and path != self.path]
        above = {posixpath.dirname(path) for path in there}
        return [path for path in there if path not in above]


def _sorted(paths: Iterable[str]) -> list[bytes]:
    """As `sort -z` does, byte by byte and without the NUL at the end."""
    return [path + b"\0" for path in sorted(path.encode("utf-8", "surrogateescape") for path in paths)]
