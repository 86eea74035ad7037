"""What makes handlers due, and what they do, so that no run which is cut off can lose one.

Who notifies leaves a stamp on the host just before it changes anything; the handler takes it away when it is done. The
stamp alone says whether the handler is due: in a plan it is an effect like any other, and after a run that died it is
still there. See docs/adr/0085.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries
from kubeforge.operations.shell import quote
from kubeforge.spec.paths import OWED

__all__ = ["Notified", "Notifying", "followed", "stamp"]

_REGULAR = 0o100600  # a stamp's type and mode


def stamp(title: str) -> str:
    """Return the path that exists while what is titled so is due on a host."""
    return f"{OWED}/{hashlib.sha256(title.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifying(Operation):
    """Another operation, whose change makes others due.

    Args:
        operation: what is done.
        tells: titles of what becomes due.
    """

    kind: ClassVar[str] = "notifying"

    operation: Operation
    tells: tuple[str, ...]

    @property
    def title(self) -> str:
        """The operation's own."""
        return self.operation.title

    @property
    def open_ended(self) -> bool:
        """Whether the operation is."""
        return self.operation.open_ended

    def observe(self) -> Queries:
        """Ask what the operation asks."""
        return self.operation.observe()

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the operation does; its change begins by leaving the stamps."""
        change = self.operation.decide(seen)
        if change is None:
            return None
        stamps = [stamp(title) for title in self.tells]
        left = (f"mkdir -p -- {quote(OWED)}", *(f": >{quote(path)}" for path in stamps))
        effect = change.effect.overlaid(Observation(paths={path: Entry(_REGULAR) for path in stamps}))
        return replace(change, lines=(*left, *change.lines), effect=effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Operation):
    """Another operation, left undone until it is notified.

    Args:
        operation: what is done.
        by: titles of actions that notify it; they leave no stamp.
        causes: titles of operations that notify it, for the plan.
    """

    kind: ClassVar[str] = "notified"

    operation: Operation
    by: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The operation's own."""
        return self.operation.title

    @property
    def stamp(self) -> str:
        """The path that exists while it is due."""
        return stamp(self.title)

    @property
    def open_ended(self) -> bool:
        """Whether the operation is."""
        return self.operation.open_ended

    def observe(self) -> Queries:
        """Ask what the operation asks, and for the stamp."""
        return Queries.merge((self.operation.observe(), Queries(stats=(self.stamp,))))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the operation does, if anybody has notified it; the stamp goes when it is done."""
        if seen.paths.get(self.stamp) is None and seen.changed.isdisjoint(self.by):
            return None
        change = self.operation.decide(seen)
        if change is None:
            return None
        heard = [title for title in (*self.causes, *self.by) if title in seen.changed]
        return replace(
            change,
            why=f"changed: {', '.join(heard)}" if heard else "an earlier run owed it",
            lines=(*change.lines, f"rm -f -- {quote(self.stamp)}"),
            effect=change.effect.overlaid(Observation(paths={self.stamp: None})),
        )


def followed(causes: Sequence[Operation], by: Operation) -> Iterator[Operation]:
    """Yield operations and then one that is done only where one of them changed something."""
    yield from (Notifying(operation=cause, tells=(by.title,)) for cause in causes)
    yield Notified(operation=by, causes=tuple(cause.title for cause in causes))
