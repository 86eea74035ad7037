"""A file that goes and is set aside, until whoever brings it back has seen that all is well."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from kubeforge.operations.absent import Absent
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.kept import keeping_file
from kubeforge.operations.model import Change, Observation, Queries

__all__ = ["KeptAbsent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAbsent(Absent):
    """Nothing is at `path`; a file that is there is copied to `aside` first, as a KeptFile is.

    Args:
        aside: absolute path of the copy.
    """

    aside: str

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        check_path(self.aside, self.kind)

    def observe(self) -> Queries:
        """Ask what is there, and whether something is set aside."""
        return Queries.merge((Absent.observe(self), Queries(stats=(self.aside,), hashes=(self.path,))))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as for any path where nothing shall be."""
        change = Absent.decide(self, seen)
        now = entry_at(self.path, seen, self.title)
        if change is None or now is None or not stat.S_ISREG(now.mode):
            return change
        return keeping_file(change, seen, now, path=self.path, aside=self.aside)
