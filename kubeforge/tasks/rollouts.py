"""The addons' pods are all of their newest template, and serve. Registers no task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.kinds import Obj, is_ready
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import ApiUnavailable
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import NODE_DEADLINE, POD_DEADLINE

__all__ = ["AddonsRolledOut", "Workload", "behind", "old_template"]

Workload = tuple[str, str, str]
"""Kind, namespace and name."""

_REMEDY: Final = "see why the pods do not start (kubectl get pods -A -o wide), then run again: it goes on from here"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonsRolledOut(Action):
    """The pods of the addons are the new ones and serve, before pods are moved between nodes.

    A node whose kube-proxy is just being replaced hears too late that a pod which is evicted ends: clients would be
    sent there still. DaemonSets are not waited for while a node is not Ready, as its pod can be no new one.

    Args:
        name: the action's title.
        workloads: of the addons.
    """

    name: str
    workloads: tuple[Workload, ...]

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Due where one of them changes, or is still being rolled out."""
        own = {f"object {kind} {namespace}/{name}" for kind, namespace, name in self.workloads}
        return [self._change()] if own & run.expected.changed or self._behind_now(run) else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it.

        Raises:
            DeadlineExceeded: pods do not come up; says of which.
        """
        api = api_of(run)
        away = sorted(node["metadata"]["name"] for node in api.objects("v1", "Node") if not is_ready(node))
        workloads = [one for one in self.workloads if one[0] != "DaemonSet"] if away else self.workloads
        if away:
            run.say(f"DaemonSets are not waited for, as these nodes are not Ready: {', '.join(away)}")
        condition = Condition(
            name="the addons' pods are the new ones and serve",
            lacks=lambda: next(behind(api, workloads, _lacks_pods), None),
            deadline=NODE_DEADLINE + POD_DEADLINE * sum(host.is_node for host in run.context.inventory.hosts.values()),
            remedy=_REMEDY,
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why="wait until the addons' pods are the new ones and serve")

    def _behind_now(self, run: ActionContext) -> bool:
        try:
            return next(behind(api_of(run), self.workloads, _lacks_pods), None) is not None
        except ApiUnavailable:
            return False  # where no API answers, all objects are planned to be applied


def old_template(found: Obj) -> str | None:
    """Say how many pods of a DaemonSet are still the old ones."""
    status = found.get("status") or {}
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    if status.get("observedGeneration", 0) < found["metadata"]["generation"] or updated < wanted:
        return f"{_name(found)}: {updated} of {wanted} pods are new"
    return None


def behind(api: Api, workloads: Sequence[Workload], lacks: Callable[[str, Obj], str | None]) -> Iterator[str]:
    """Say what workloads lack; one that is not there lacks nothing.

    Args:
        api: is asked.
        workloads: in this order.
        lacks: is given the kind and what lives; says what is missing, None: nothing.
    """
    for kind, namespace, name in workloads:
        found = api.get("apps/v1", kind, name, namespace)
        missing = None if found is None else lacks(kind, found)
        if missing is not None:
            yield missing


def _lacks_pods(kind: str, found: Obj) -> str | None:
    """Say what of a rollout is left, as `kubectl rollout status` judges it."""
    status = found.get("status") or {}
    if kind == "DaemonSet":
        wanted, serving = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
        lacks = old_template(found)
    else:
        wanted, serving = found["spec"].get("replicas", 1), status.get("availableReplicas", 0)
        updated = status.get("updatedReplicas", 0)
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        whole = seen and wanted <= updated == status.get("replicas", 0)
        lacks = None if whole else f"{_name(found)}: {updated} of {wanted} pods are new"
    return lacks or (None if serving >= wanted else f"{_name(found)}: {serving} of {wanted} pods serve")


def _name(found: Obj) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
