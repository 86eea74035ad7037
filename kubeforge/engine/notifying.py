"""Handlers: calls that are done after a play's tasks, where one that notifies them changed something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kubeforge.engine.model import Action, ActionContext
from kubeforge.operations.model import Change, Operation
from kubeforge.operations.notified import Notified
from kubeforge.operations.restart import Restart

__all__ = ["heard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedAction(Action):
    """An action, left undone until it is heard of.

    Args:
        action: what is done.
        by: titles that make it due.
    """

    action: Action
    by: tuple[str, ...]

    @property
    def title(self) -> str:
        """The action's own."""
        return self.action.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the action, if anybody has notified it."""
        return [] if run.expected.changed.isdisjoint(self.by) else self.action.plan(run)

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it: it was planned, so it was notified."""
        return self.action.run(run)


def heard(item: Operation | Action, by: Iterable[str]) -> Operation | Action:
    """Return a handler's operation or action, due only when something titled in `by` changed.

    A restart listens itself, so that one which a cut-off run owed is seen by the age of the files.
    """
    titles = tuple(dict.fromkeys(by))
    if isinstance(item, Restart):
        return replace(item, listens=titles)
    if isinstance(item, Operation):
        return Notified(operation=item, by=titles)
    return NotifiedAction(action=item, by=titles)
