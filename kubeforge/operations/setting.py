"""A setting that a read-only script prints and a few lines set: what has no kind of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join

__all__ = ["Setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Operation):
    """Something of the host that is what a script prints.

    Args:
        name: its title, unique on its host: `firewalld public 80/tcp`.
        probe: read-only POSIX-sh lines; never print a secret.
        wanted: what they shall print, without white space around it.
        lines: set it.
        restoring: a command that sets it back, to which what was printed is added; empty: it stays when a generation is
            taken back.
        deadline: seconds.
    """

    kind: ClassVar[str] = "setting"

    name: str
    probe: str
    wanted: str
    lines: tuple[str, ...]
    restoring: tuple[str, ...] = ()
    deadline: float = 120.0

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def observe(self) -> Queries:
        """Ask what it is."""
        return Queries(outputs=(self.probe,))

    def decide(self, seen: Observation) -> Change | None:
        """Set it."""
        now = seen.outputs.get(self.probe, "").strip()
        if now == self.wanted:
            return None
        shown = ", ".join(now.split("\n"))
        return Change(
            title=self.title,
            verb=Verb.UPDATE if now else Verb.CREATE,
            why=f"is {shown}" if now else "is not set",
            effect=Observation(outputs={self.probe: self.wanted}),
            lines=self.lines,
            undo=(join((*self.restoring, now)),) if self.restoring and now else (),
            deadline=self.deadline,
        )
