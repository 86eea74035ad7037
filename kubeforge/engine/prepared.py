"""A planned step with what carrying it out needs, and how a host's error becomes its failure. In memory only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kubeforge.engine.events import Failure
from kubeforge.engine.plan import PlannedChange, PlannedStep
from kubeforge.engine.program import ActionStep, Batch, Step, fault
from kubeforge.errors import KubeforgeError
from kubeforge.operations.model import Change, Observation

__all__ = ["Prepared", "guarded"]

_TRANSPORT: Final = frozenset({"act", "observe", "run"})
"""What a transport calls its own doings; which step they are part of it cannot know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A step that has something to do, ready to be carried out. Stays in memory: it may hold secrets.

    Args:
        host: inventory name.
        play: number of the play.
        step: as compiled.
        changes: as decided, or as the action foretold.
        expected: what the plan takes to hold when the step begins.
        pending: whether any change is planned before it, on any host (a barrier), or on this host in this play.
    """

    host: str
    play: int
    step: Step
    changes: tuple[Change, ...]
    expected: Observation
    pending: bool

    @property
    def place(self) -> str:
        """The host that it changes."""
        return self.step.place if isinstance(self.step, ActionStep) else self.host

    def shown(self, play: str) -> PlannedStep:
        """Return what the plan shows."""
        step = self.step
        tasks = step.tasks if isinstance(step, Batch) else {}
        task = step.task if isinstance(step, ActionStep) else ""
        return PlannedStep(
            host=self.host,
            play=play,
            step=step.title,
            action=isinstance(step, ActionStep),
            changes=tuple(PlannedChange.of(change, tasks.get(change.title, task)) for change in self.changes),
        )


def guarded(error: Exception, *, host: str, step: str) -> Failure:
    """Return whatever a host's work raised as its failure, under the step's name where the transport knew none.

    What went wrong on another host, which that work needs, is told with its name: who does not go on is `host`.
    """
    failure = Failure.of(error if isinstance(error, KubeforgeError) else fault(error), host=host, step=step)
    if failure.host != host:
        failure = replace(failure, host=host, cause=f"{failure.host}: {failure.cause}")
    return replace(failure, step=step or failure.step) if failure.step in _TRANSPORT else failure
