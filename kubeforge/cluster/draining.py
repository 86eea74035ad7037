"""What a drain does with the pods of a node: which go, which stay, which it refuses to touch. Pure but for the reading.

The rules are kubectl drain's (kubernetes.io/docs/tasks/administer-cluster/safely-drain-node), with two differences:
pods that have ended are left, as nothing of them runs, and a budget that can never allow is told before anything is
done. What evicts is `evicting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.budgets import Budget, guarding, read_budgets
from kubeforge.cluster.kinds import Obj, is_ready
from kubeforge.spec.paths import DRAIN_DEADLINE

__all__ = ["DrainOptions", "Fate", "Pod", "Sorted", "is_mirror", "pods_of", "read_pods", "sort_pods"]

_MIRROR: Final = "kubernetes.io/config.mirror"
_ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOptions:
    """How a node is drained.

    Args:
        grace: seconds that each pod gets to end; None: what the pod says itself; 0: it is killed.
        deadline: seconds after which a drain is given up and the node put back as it was.
        delete_local: evict pods with an emptyDir too; what is in it is lost.
        force: evict pods that no controller brings up again too; they are lost.
        dead: the host will never answer again, so nobody can confirm that its pods have ended: they are deleted at
            once and no budget is asked, as they do not run. Implies `delete_local` and `force`: what they had is gone.
    """

    grace: int | None = None
    deadline: float = DRAIN_DEADLINE
    delete_local: bool = False
    force: bool = False
    dead: bool = False


class Fate(StrEnum):
    """What a drain does with a pod."""

    EVICT = "evict"
    LEAVE = "leave"
    REFUSE = "refuse"
    ENDS = "ends"
    """It was told to end before; it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod of the node, and what becomes of it.

    Args:
        namespace: its namespace.
        name: its name.
        uid: tells it from another one of the same name.
        fate: what a drain does with it.
        why: one clause: whose it is, or what speaks against evicting it.
        remedy: the option that evicts it all the same, where there is one.
        owner: `ReplicaSet web-5d8f`; empty where it has no controller.
        grace: seconds it takes for itself to end.
        budgets: those that guard it.
    """

    namespace: str
    name: str
    uid: str
    fate: Fate
    why: str
    remedy: str = ""
    owner: str = ""
    grace: int = 30
    budgets: tuple[Budget, ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """The pods of a node by what becomes of them.

    Args:
        pods: all of them, by namespace and name.
    """

    pods: tuple[Pod, ...] = field(default=())

    def of(self, *fates: Fate) -> tuple[Pod, ...]:
        """Return those with one of these fates."""
        return tuple(pod for pod in self.pods if pod.fate in fates)

    @property
    def going(self) -> tuple[Pod, ...]:
        """Those that a drain waits for until they are gone."""
        return self.of(Fate.EVICT, Fate.ENDS)

    @property
    def refused(self) -> tuple[Pod, ...]:
        """Those that a drain is refused for."""
        return self.of(Fate.REFUSE)


def pods_of(api: Api, node: str) -> list[Obj]:
    """Return the pods that are bound to a node.

    Raises:
        ApiError: they cannot be read.
    """
    return api.objects("v1", "Pod", fields={"spec.nodeName": node})


def is_mirror(pod: Obj) -> bool:
    """Whether a pod only shows a static one, whose manifest lies on the host."""
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def read_pods(api: Api, node: str, options: DrainOptions) -> Sorted:
    """Return the pods of a node by what a drain does with them; reads pods and budgets.

    Raises:
        ApiError: they cannot be read.
    """
    pods = pods_of(api, node)
    return sort_pods(pods, () if options.dead else read_budgets(api), options)


def sort_pods(pods: Sequence[Obj], budgets: Sequence[Budget], options: DrainOptions) -> Sorted:
    """Say what a drain does with each pod of a node. Pure.

    Args:
        pods: of the node.
        budgets: of the cluster.
        options: of the drain.
    """
    judged = (_judged(pod, budgets, options) for pod in pods)
    return Sorted(pods=tuple(sorted(judged, key=lambda pod: (pod.namespace, pod.name))))


def _judged(pod: Obj, budgets: Sequence[Budget], options: DrainOptions) -> Pod:
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    owner = _controller(metadata)
    guards = guarding(budgets, metadata["namespace"], metadata.get("labels") or {})
    fate, why, remedy = _fate(pod, owner, guards, options)
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        fate=fate,
        why=why,
        remedy=remedy,
        owner=owner,
        grace=_first(options.grace, spec.get("terminationGracePeriodSeconds"), 30),
        budgets=guards,
    )


def _fate(pod: Obj, owner: str, guards: Sequence[Budget], options: DrainOptions) -> tuple[Fate, str, str]:
    """Return what becomes of a pod, why, and what makes it go all the same."""
    metadata = pod["metadata"]
    if is_mirror(pod):
        return Fate.LEAVE, "is a static pod: its manifest lies on the host", ""
    if owner.startswith("DaemonSet "):
        return Fate.LEAVE, f"{owner} runs on every node, cordoned or not", ""
    if options.dead:
        return Fate.EVICT, f"is lost with its host; {_again(owner)}", ""
    if metadata.get("deletionTimestamp"):
        return Fate.ENDS, "was told to end before", ""
    if (pod.get("status") or {}).get("phase") in _ENDED:
        return Fate.LEAVE, "has ended", ""
    return _may_go(pod, owner, guards, options)


def _may_go(pod: Obj, owner: str, guards: Sequence[Budget], options: DrainOptions) -> tuple[Fate, str, str]:
    volumes = [each["name"] for each in (pod.get("spec") or {}).get("volumes") or () if "emptyDir" in each]
    if not owner and not options.force:
        return Fate.REFUSE, "no controller brings it up again", "--force deletes it for good"
    if volumes and not options.delete_local:
        lost = f"what is in its emptyDir would be lost: {', '.join(volumes)}"
        return Fate.REFUSE, lost, "--delete-local-storage gives that up"
    if len(guards) > 1:
        told = " and ".join(f"{one.namespace}/{one.name}" for one in guards)
        return Fate.REFUSE, f"is guarded by more than one budget, which Kubernetes does not evict: {told}", _FEWER
    if guards and guards[0].never and is_ready(pod):
        return Fate.REFUSE, f"{guards[0]}: that never lets one go", _RELAX
    return Fate.EVICT, _again(owner), ""


_FEWER: Final = "leave one budget for each pod"
_RELAX: Final = "run more replicas, or let the budget allow one fewer, then drain"


def _again(owner: str) -> str:
    return f"{owner} brings up another" if owner else "nobody brings it up again"


def _controller(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((f"{owner['kind']} {owner['name']}" for owner in owners if owner.get("controller")), "")


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
