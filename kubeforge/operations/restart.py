"""A systemd unit that is restarted or reloaded, whatever its state: what a handler does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from kubeforge.errors import Unreadable
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote
from kubeforge.operations.unit import masked

__all__ = ["Restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Operation):
    """A unit that begins anew; one that rests is started. It is always due: let it be notified.

    Args:
        name: with its suffix: `nginx.service`.
        how: `restart`, or `reload` where the unit knows how; it is restarted where not.
        deadline: seconds it may take.
    """

    kind: ClassVar[str] = "restart"

    name: str
    how: Literal["restart", "reload"] = "restart"
    deadline: float = 120.0

    @property
    def title(self) -> str:
        """What is done, and the unit."""
        return f"{self.how} {self.name}"

    def observe(self) -> Queries:
        """Ask systemd."""
        return Queries(units=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Restart it."""
        now = seen.units[self.name]
        if now.load == "unknown":
            raise Unreadable("systemd gave no answer", step=self.title, remedy="is systemd running on this host?")
        if now.load == "masked":
            raise masked(self.name, self.title)
        verb = "restart" if self.how == "restart" else "reload-or-restart"
        failed = (f"systemctl reset-failed -- {quote(self.name)}",) if now.active == "failed" else ()
        return Change(
            title=self.title,
            verb=Verb.RESTART,
            why="is due",
            guard=self.observe(),
            effect=Observation(units={self.name: replace(now, load="loaded", active="active", need_reload=False)}),
            lines=("systemctl daemon-reload", *failed, f"systemctl {verb} -- {quote(self.name)}"),
            deadline=self.deadline,
            every_run=True,
            repeatable=True,
        )
