"""A file whose present content is set aside before it is replaced, until somebody has seen that the new one is good."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.file import File
from kubeforge.operations.kept import keeping_file
from kubeforge.operations.model import Change, Observation, Queries

__all__ = ["KeptFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile(File):
    """A File; what is there when its content changes is copied to `aside` first, unless something lies there already.

    Whoever has seen that the new content is good removes `aside`.

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
        return keeping_file(change, seen, now, path=self.path, aside=self.aside)
