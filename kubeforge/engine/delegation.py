"""What one host's turn has done on another: `delegate_to`.

The operations stay part of the turn of the host they are done for, so that a balancer is told of a server just before
that server is worked on. A plan decides them on the other host as it is now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kubeforge.engine.acting import act, decided
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.model import Action, ActionContext
from kubeforge.operations.model import Change, Observation, Operation

__all__ = ["Delegated", "delegated", "place_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegated(Action):
    """Operations on another host.

    Args:
        operations: in order.
        to: the other host.
    """

    operations: tuple[Operation, ...]
    to: str

    @property
    def title(self) -> str:
        """Its first operation, and where."""
        return self.titles[0]

    @property
    def titles(self) -> tuple[str, ...]:
        """Those of all changes it may make."""
        return tuple(f"{operation.title} on {self.to}" for operation in self.operations)

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Decide on what the other host is like now, and on what this turn will have changed there."""
        known = run.elsewhere.get(self.to) if isinstance(run, Conversation) else None
        return self._named(decided(run, self.operations, host=self.to, known=known or Observation()))

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Carry them out; the turns of several hosts come one after the other there."""
        with run.context.vault.once(("delegated", self.to), threading.Lock):
            return self._named(act(run, self.operations, step=self.title, host=self.to))

    def _named(self, changes: Iterable[Change]) -> list[Change]:
        return [replace(change, title=f"{change.title} on {self.to}") for change in changes]


def place_of(action: Action) -> str | None:
    """Return the other host that an action's operations are done on; None: it has none such."""
    while not isinstance(action, Delegated) and isinstance(inner := getattr(action, "action", None), Action):
        action = inner  # a handler's, or one that is gone on with
    return action.to if isinstance(action, Delegated) else None


def delegated(items: Iterable[Operation | Action], to: str) -> Iterator[Action]:
    """Yield the actions that do a call's operations on another host; its own actions stay as they are."""
    waiting: list[Operation] = []
    for item in items:
        if isinstance(item, Operation):
            waiting.append(item)
            continue
        if waiting:
            yield Delegated(operations=tuple(waiting), to=to)
            waiting = []
        yield item
    if waiting:
        yield Delegated(operations=tuple(waiting), to=to)
