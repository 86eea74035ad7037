"""What a handler does: an operation that is due only when one of those that notify it changed something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kubeforge.operations.model import Change, Observation, Operation, Queries

__all__ = ["Notified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Operation):
    """Another operation, left undone until it is heard of.

    Args:
        operation: what is done.
        by: titles of operations and actions; a change of one of them makes it due.
    """

    kind: ClassVar[str] = "notified"

    operation: Operation
    by: tuple[str, ...]

    @property
    def title(self) -> str:
        """The operation's own."""
        return self.operation.title

    def observe(self) -> Queries:
        """Ask what the operation asks."""
        return self.operation.observe()

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the operation does, if anybody has notified it."""
        return None if seen.changed.isdisjoint(self.by) else self.operation.decide(seen)
