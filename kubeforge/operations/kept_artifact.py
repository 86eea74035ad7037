"""A program whose present link is set aside before another version is linked, until the new one is seen to be good."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from kubeforge.operations.artifact import Artifact
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.kept import keeping
from kubeforge.operations.model import Change, Entry, Observation, Queries

__all__ = ["KeptArtifact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptArtifact(Artifact):
    """An Artifact; a link that is there when another one takes its place is copied to `aside` first, as a KeptFile is.

    A file that is no link is nobody's version of ours, and is not kept.

    Args:
        aside: absolute path of the copy, a link as well.
    """

    aside: str

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        check_path(self.aside, self.kind)

    def observe(self) -> Queries:
        """Ask what the artifact asks, and whether something is set aside."""
        return Queries.merge((Artifact.observe(self), Queries(stats=(self.aside,))))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the artifact does."""
        change = Artifact.decide(self, seen)
        now = entry_at(self.path, seen, self.title)
        if change is None or now is None or not stat.S_ISLNK(now.mode) or now.target == self.stored.path:
            return change
        kept = Entry(stat.S_IFLNK | 0o777, target=now.target)
        return keeping(change, seen, path=self.path, aside=self.aside, copy="cp -dT", kept=kept)
