"""An API server among others ends in order before the etcd beside it is changed. Registers no task.

It asks that etcd alone. If etcd went first, requests that it has taken would wait and break (ADR 57); so its manifest
is set aside, the kubelet ends it as at any change (ADR 50, 57), clients go to the others, and it comes back once etcd
serves. ADR 81.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log, kubelet_log
from kubeforge.cluster.processes import processes
from kubeforge.documents import dump
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import ETCD, settled
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.kept_absent import KeptAbsent
from kubeforge.operations.model import Change, Observation, Operation, Verb
from kubeforge.spec.paths import COMPONENT_DEADLINE
from kubeforge.tasks import living
from kubeforge.tasks.acting import act
from kubeforge.tasks.etcd_runs import is_service

__all__ = ["ApiServerEnds", "parks"]

_MANIFEST: Final = manifest_path(API_SERVER)


def parks(context: Context) -> bool:
    """Whether the API server of this host ends before its etcd does: that one changes, and others serve meanwhile."""
    planes = context.inventory.control_planes
    if is_service(context.cluster) or len(planes) == 1 or context.host not in planes:
        return False
    pod = settled(context.cluster, context.host, context.parts.images)
    return living.runs_otherwise(context, ETCD, dump(pod).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerEnds(Action):
    """The API server of the host has ended in order, and the kubelet does not start it; its manifest lies aside.

    Args:
        before: what it ends for, where that may turn out to be done already; None: it is due.
    """

    before: Operation | None = None

    @property
    def title(self) -> str:
        """Names the pod."""
        return f"end {API_SERVER}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Its manifest goes; what is planned next finds none."""
        if self.before is not None and self.before.decide(run.remote.observe(self.before.observe())) is None:
            return []
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Set the manifest aside and wait until the process has ended.

        Raises:
            DeadlineExceeded: the kubelet does not end it.
        """
        gone = KeptAbsent(path=_MANIFEST, aside=living.aside(API_SERVER, _MANIFEST), why="it ends before its etcd does")
        act(run, [gone], step=self.title)
        condition = Condition(
            name=f"{API_SERVER} has ended",
            lacks=lambda: f"{API_SERVER} still runs" if processes(run.remote, API_SERVER) else None,
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: [*component_log(run.remote, API_SERVER), *kubelet_log(run.remote)],
            remedy="apply again: it brings the API server back",
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _change(self) -> Change:
        gone = Observation(paths={_MANIFEST: None}, hashes={_MANIFEST: None})
        why = "in order, before its etcd changes; clients go to the others"
        return Change(title=self.title, verb=Verb.STOP, why=why, effect=gone)
