"""A file whose present content is set aside before it is replaced, until somebody has seen that the new one is good."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import dataclass, replace

from kubeforge.operations.attributes import beside, check_path, entry_at
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Entry, Observation, Queries
from kubeforge.operations.shell import quote

__all__ = ["KeptFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile(File):
    """A File; what is there when its content changes is copied to `aside` first, unless something lies there already.

    What lies there already is older and was good: whoever replaced it last was cut off before it could say so of its
    own. Whoever has seen that the new content is good removes `aside`.

    Args:
        aside: absolute path of the copy.
    """

    aside: str

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        check_path(self.aside, self.kind)

    def observe(self) -> Queries:
        """Ask what the file asks, and whether something is set aside."""
        return Queries.merge((File.observe(self), Queries(stats=(self.aside,))))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the file does."""
        change = File.decide(self, seen)
        now = entry_at(self.path, seen, self.title)
        if change is None or change.payload is None or now is None or not stat.S_ISREG(now.mode):
            return change
        if entry_at(self.aside, seen, self.title) is not None:
            return change
        temporary, folder = quote(beside(self.aside)), quote(posixpath.dirname(self.aside))
        keep = (
            f"mkdir -p -m 0700 -- {folder}",
            f"cp -pT --remove-destination -- {quote(self.path)} {temporary}",
            f"mv -fT -- {temporary} {quote(self.aside)}",
        )
        kept = Observation(
            paths={self.aside: Entry(stat.S_IFREG | now.permissions, now.owner, now.group)},
            hashes={self.aside: seen.hashes[self.path]} if self.path in seen.hashes else {},
        )
        return replace(change, lines=(*keep, *change.lines), effect=change.effect.overlaid(kept))
