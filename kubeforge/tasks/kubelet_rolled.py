"""A living kubelet comes back with what was changed for it, or gets back what it had. Registers no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import kubelet_log
from kubeforge.cluster.processes import lacks_kubelet, processes
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import DeadlineExceeded
from kubeforge.operations.model import Change, Verb
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import COMPONENT_DEADLINE
from kubeforge.tasks.last_good import Crashed, Kept, failure, forget, put_back
from kubeforge.tasks.living import KUBELET

__all__ = ["KubeletRolled"]

_CRASHES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletRolled(Action):
    """The kubelet serves with the files it has now, or has its old ones back.

    Args:
        files: what may have been changed for it.
        unit: its own.
        health_port: where it says that it lives; 0: nowhere.
        unproved: whether an earlier run changed its files and did not see it serve.
    """

    files: tuple[Kept, ...]
    unit: Unit
    health_port: int
    unproved: bool

    @property
    def title(self) -> str:
        """Names it."""
        return "kubelet.serves"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it where anything of it changes."""
        own = {self.unit.title, *(file.title for file in self.files)}
        return [self._change()] if self.unproved or own & run.expected.changed else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait; on failure put back what it ran with."""

        def back() -> None:
            put_back(run, self.files, then=(self.unit,))
            self._await(run)

        try:
            self._await(run)
        except (DeadlineExceeded, Crashed) as error:
            raise failure(run, error, KUBELET, step=self.title, back=back) from None
        forget(run, KUBELET)
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why="unless the kubelet serves, its old files go back")

    def _await(self, run: ActionContext) -> None:
        condition = Condition(
            name="the kubelet serves",
            lacks=partial(self._lacks, run, self._restarts(run)),
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: kubelet_log(run.remote),
        )
        await_condition(condition, run, step=self.title)

    def _lacks(self, run: ActionContext, restarts: int) -> str | None:
        if self._restarts(run) - restarts >= _CRASHES:
            raise Crashed(
                "the kubelet ends as soon as it is started",
                host=run.context.host.name,
                evidence=kubelet_log(run.remote),
            )
        if not any(one.fresh for one in processes(run.remote, KUBELET, files=[file.path for file in self.files])):
            return "the kubelet does not run with its new files"
        return lacks_kubelet(run.remote, self.health_port)

    def _restarts(self, run: ActionContext) -> int:
        """Return how often systemd has started it again by itself."""
        return int(run.remote.run(["systemctl", "show", "-P", "NRestarts", self.unit.name]).stdout.strip() or 0)
