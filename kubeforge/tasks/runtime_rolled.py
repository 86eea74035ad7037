"""A living container runtime comes back with what was changed for it, or gets back what it had. Registers no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import unit_log
from kubeforge.cluster.processes import lacks_containerd
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import DeadlineExceeded, OperationFailed
from kubeforge.operations.model import Change, Observation, Verb
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import COMPONENT_DEADLINE
from kubeforge.tasks.last_good import Kept, failure, forget, put_back
from kubeforge.tasks.living import RUNTIME

__all__ = ["RuntimeRolled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRolled(Action):
    """Containerd serves with the programs and files it has now, or has its old ones back; containers run on.

    Restarted here and not by an operation: one that does not start shall have back what it ran with.

    Args:
        files: what may have been changed for it.
        unit: its own.
        unproved: whether an earlier run changed its files and did not see it serve.
    """

    files: tuple[Kept, ...]
    unit: Unit
    unproved: bool

    @property
    def title(self) -> str:
        """Names it."""
        return "runtime.serves"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Restart it where anything of it changes, or where an earlier run may not have come to that."""
        change = self.unit.decide(self._seen(run))
        return [change] if change is not None else [self._looks()] if self.unproved else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Restart it and wait; on failure put back what it ran with.

        Raises:
            OperationFailed: it does not come up; what it ran with is back, or why that did not help either.
        """
        seen = self._seen(run)
        change = self.unit.decide(seen)
        try:
            if change is not None:
                self._restart(run, change, seen)
            self._await(run)
        except (DeadlineExceeded, OperationFailed) as error:
            raise failure(run, error, RUNTIME, step=self.title, back=partial(self._go_back, run)) from None
        forget(run, RUNTIME)
        return [change or self._looks()]

    def _looks(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why="an earlier run was cut off before it was seen to serve")

    def _seen(self, run: ActionContext) -> Observation:
        return replace(run.remote.observe(self.unit.observe()), changed=run.expected.changed)

    def _restart(self, run: ActionContext, change: Change, seen: Observation) -> None:
        results = run.remote.act([change], seen, run_id=run.run_id)
        if not results or results[0].status:
            raise OperationFailed(
                "containerd does not start",
                host=run.context.host.name,
                step=self.title,
                evidence=unit_log(run.remote, self.unit.name),
            )

    def _await(self, run: ActionContext) -> None:
        condition = Condition(
            name="containerd answers",
            lacks=lambda: lacks_containerd(run.remote),
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: unit_log(run.remote, self.unit.name),
        )
        await_condition(condition, run, step=self.title)

    def _go_back(self, run: ActionContext) -> None:
        own = tuple(title for file in self.files for title in (f"file {file.path}", f"symlink {file.path}"))
        put_back(run, self.files, then=(replace(self.unit, listens=own),))
        self._await(run)
