"""A path where nothing shall be."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent(Operation):
    """Nothing is at `path`.

    Args:
        path: absolute.
        recursive: a directory goes with everything below it; mount points below it are never entered, and the
            change then fails. Otherwise only an empty directory goes.
        keep: what is removed is kept in the generation; False for data too big to keep, which then is gone.
        reveal: it is a file, and a diff may show what it held.
        why: for the plan.
    """

    kind: ClassVar[str] = "absent"

    path: str
    recursive: bool = False
    keep: bool = True
    reveal: bool = False
    why: str = "is there"

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there."""
        return Queries(stats=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Remove what is there."""
        entry = entry_at(self.path, seen, self.title)
        if entry is None:
            return None
        directory = stat.S_ISDIR(entry.mode)
        command = "rm -f" if not directory else "rm -rf --one-file-system" if self.recursive else "rmdir"
        kept = (self.path,) if self.keep else ()
        return Change(
            title=self.title,
            verb=Verb.REMOVE,
            why=f"{self.why}, with everything below it" if directory and self.recursive else self.why,
            guard=self.observe(),
            effect=Observation(paths=self._gone(seen), hashes={self.path: None}),
            lines=(f"{command} -- {quote(self.path)}",),
            reveals=self.path if self.reveal and not directory else "",
            touches=kept,
            deep=kept if directory and self.recursive else (),
        )

    def _gone(self, seen: Observation) -> dict[str, None]:
        """What later operations must not find any more: the path and all that is known below it."""
        return {path: None for path in seen.paths if path == self.path or path.startswith(f"{self.path}/")}
