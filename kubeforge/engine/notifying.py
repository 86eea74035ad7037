"""Handlers: calls that are done after a play's tasks, where one that notifies them changed something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubeforge.engine.delegation import Delegated
from kubeforge.engine.model import Action, ActionContext
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.notified import Notified, Notifying, stamp
from kubeforge.transport.base import Remote

__all__ = ["NotifiedAction", "heard", "telling", "titles_of"]

Item = Operation | Action


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedAction(Action):
    """An action, left undone until it is notified.

    Args:
        action: what is done.
        by: titles of actions that notify it; operations leave a stamp.
    """

    action: Action
    by: tuple[str, ...]

    @property
    def title(self) -> str:
        """The action's own."""
        return self.action.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the action, if anybody has notified it, or an earlier run owed it."""
        path = stamp(self.title)
        if path in run.expected.paths:
            due = run.expected.paths[path] is not None
        else:
            due = _stamped(run).observe(Queries(stats=(path,))).paths.get(path) is not None
        if not due and run.expected.changed.isdisjoint(self.by):
            return []
        # One that has nothing to do is carried out all the same: it would be owed for ever, and say so each time.
        return self.action.plan(run) or [Change(title=self.title, verb=Verb.RUN, why="is notified")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it: it was planned, so it was notified."""
        done = self.action.run(run)
        _stamped(run).run(("rm", "-f", "--", stamp(self.title)))
        return done

    def traces(self) -> Queries:
        """As the action."""
        return self.action.traces()

    def was_done(self, seen: Observation, began: float) -> bool | None:
        """As the action: its stamp may still be there."""
        return self.action.was_done(seen, began)


def _stamped(run: ActionContext) -> Remote:
    """Return the host with the stamp: that whose turn it is, wherever the action is done."""
    return run.remote_of(run.context.whose.name)


def titles_of(item: Item) -> tuple[str, ...]:
    """Return the titles of all changes that one may make."""
    return item.titles if isinstance(item, Delegated) else (item.title,)


def telling(item: Item, tells: Sequence[str]) -> Item:
    """Return what a call gave, so that its change makes handlers due.

    Args:
        item: what was given.
        tells: titles of the handlers' operations and actions; none: it stays as it is.
    """
    return Notifying(operation=item, tells=tuple(tells)) if tells and isinstance(item, Operation) else item


def heard(item: Item, causes: Sequence[Item]) -> Item:
    """Return what a handler gave, due only where one of `causes` has changed something."""
    operations = tuple(cause.title for cause in causes if isinstance(cause, Operation))
    actions = tuple(title for cause in causes if isinstance(cause, Action) for title in titles_of(cause))
    if isinstance(item, Operation):
        return Notified(operation=item, by=actions, causes=operations)
    return NotifiedAction(action=item, by=actions)
