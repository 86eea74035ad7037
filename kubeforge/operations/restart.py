"""A systemd unit that is restarted or reloaded: always, or when something it listens to changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from kubeforge.errors import Unreadable
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, UnitState, Verb
from kubeforge.operations.shell import quote

__all__ = ["Restart"]

_FILES = ("file ", "symlink ", "artifact ")  # kinds whose title names a path with an honest time of modification


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Operation):
    """A unit that begins anew. As with a Unit that listens, a restart that a cut-off run owed is made good.

    Args:
        name: with its suffix: `nginx.service`.
        how: `restart`, or `reload` where the unit knows how (it is restarted where not). One that rests is started.
        listens: titles of what makes it due; None: it is always due.
        deadline: seconds it may take.
    """

    kind: ClassVar[str] = "restart"

    name: str
    how: Literal["restart", "reload"] = "restart"
    listens: tuple[str, ...] | None = None
    deadline: float = 120.0

    @property
    def title(self) -> str:
        """What is done, and the unit."""
        return f"{self.how} {self.name}"

    def observe(self) -> Queries:
        """Ask systemd, and for the age of what it listens to."""
        return Queries(stats=tuple(self._heard().values()), units=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Restart it where that is due."""
        now = seen.units[self.name]
        if now.load == "unknown":
            raise Unreadable("systemd gave no answer", step=self.title, remedy="is systemd running on this host?")
        why = self._due(now, seen)
        if why is None:
            return None
        verb = "restart" if self.how == "restart" else "reload-or-restart"
        failed = (f"systemctl reset-failed -- {quote(self.name)}",) if now.active == "failed" else ()
        return Change(
            title=self.title,
            verb=Verb.RESTART,
            why=why,
            guard=Queries(units=(self.name,)),
            effect=Observation(units={self.name: replace(now, load="loaded", active="active", need_reload=False)}),
            lines=("systemctl daemon-reload", *failed, f"systemctl {verb} -- {quote(self.name)}"),
            deadline=self.deadline,
        )

    def _heard(self) -> dict[str, str]:
        """Title -> path, for what this listens to and what has one."""
        return {title: title.split(" ", 1)[1] for title in self.listens or () if title.startswith(_FILES)}

    def _due(self, now: UnitState, seen: Observation) -> str | None:
        if self.listens is None:
            return "is due"
        changed = [title for title in self.listens if title in seen.changed]
        if changed:
            return f"changed: {', '.join(changed)}"
        younger = [
            path
            for path in self._heard().values()
            if self.how == "restart"  # a reload leaves no time by which one that is owed could be told
            and now.since is not None
            and now.active == "active"
            and isinstance(entry := seen.paths.get(path), Entry)
            and (entry.modified or 0) > now.since
        ]
        return f"older than {', '.join(younger)}" if younger else None
