"""A cluster whose pods can be evicted: budgets are counted, pods end unless something holds them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from kubeforge.cluster.budgets import Budget, guarding
from kubeforge.cluster.cordon import CORDON_TAINT
from kubeforge.cluster.kinds import Obj, key_of
from kubeforge.errors import ApiError
from tests.unit.tasks.memory_api import MemoryApi

REPLICA = {"kind": "ReplicaSet", "name": "web-5d", "controller": True}


def node(name: str = "w1", *, cordoned: bool = False, ready: bool = True, by: str = "") -> Obj:
    """Return a node; `by`: the run of ours that cordoned it."""
    taint = {"key": CORDON_TAINT, "effect": "NoSchedule", **({"value": by} if by else {})}
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"unschedulable": True, "taints": [taint]} if cordoned or by else {},
        "status": {"conditions": conditions},
    }


def pod(name: str, *, on: str = "w1", owner: Obj | None = REPLICA, ready: bool = True, **changes: Any) -> Obj:
    """Return a pod; `changes` go over its metadata (labels, finalizers, …), spec (volumes) and status (phase)."""
    metadata: Obj = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": {"app": "web"}}
    spec: Obj = {"nodeName": on, "terminationGracePeriodSeconds": 30, "volumes": changes.pop("volumes", [])}
    status = {"phase": changes.pop("phase", "Running"), "conditions": [{"type": "Ready", "status": str(ready)}]}
    if owner:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, **changes}, "spec": spec, "status": status}


def budget(name: str = "web", *, allowed: int = 1, desired: int = 1, expected: int = 2, **labels: str) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default", "generation": 1},
        "spec": {"minAvailable": desired, "selector": {"matchLabels": labels or {"app": "web"}}},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": desired + allowed,
            "desiredHealthy": desired,
            "expectedPods": expected,
        },
    }


def refusal(status: int, message: str, reason: str = "") -> tuple[int, Obj]:
    causes = [{"reason": reason}] if reason else []
    return status, {"message": message, "details": {"causes": causes}}


@dataclass
class DrainableApi(MemoryApi):
    """Evicted pods are gone at the next look, unless they have finalizers or are named in `stuck`.

    Args:
        refills: looks after which a budget allows one more.
        stuck: pods whose node never says that they have ended.
        answers: name of a pod -> what the next evictions of it answer.
        conflicts: patches that meet somebody else's.
    """

    refills: int = 2
    stuck: set[str] = field(default_factory=set)
    answers: dict[str, list[tuple[int, Obj]]] = field(default_factory=dict)
    conflicts: int = 0
    calls: list[tuple[str, str, Obj]] = field(default_factory=list)
    looks: int = 0

    @staticmethod
    def of(*objects: Obj, **values: Any) -> DrainableApi:
        return DrainableApi(objects_={key_of(obj): obj for obj in objects}, **values)

    def objects(self, version: str, kind: str, *, fields: Any = None, **_: Any) -> list[Obj]:
        self._trouble()
        found = super().objects(version, kind)
        if kind != "Pod":
            return found
        self._pass()
        return [one for one in super().objects(version, kind) if one["spec"]["nodeName"] == fields["spec.nodeName"]]

    def _pass(self) -> None:
        """Let a moment go by: what was told to end ends, budgets are counted anew."""
        self.looks += 1
        for key, one in list(self.objects_.items()):
            metadata = one["metadata"]
            held = metadata.get("finalizers") or metadata["name"] in self.stuck
            if one["kind"] == "Pod" and metadata.get("deletionTimestamp") and not held:
                del self.objects_[key]
            if one["kind"] == "PodDisruptionBudget" and self.refills and self.looks % self.refills == 0:
                one["status"]["disruptionsAllowed"] = 1

    def answer(self, method: str, path: str, body: Obj) -> tuple[int, Obj]:
        self._trouble()
        name = path.split("/")[6]
        self.calls.append((method, path, body))
        live = self.objects_.get(("v1", "Pod", "default", name))
        if live is None:
            return refusal(404, "not found")
        if self.answers.get(name):
            return self.answers[name].pop(0)
        if method == "POST" and not self._disrupts(live):
            return refusal(429, "Cannot evict pod as it would violate the budget.", "DisruptionBudget")
        live["metadata"]["deletionTimestamp"] = "now"
        return 201, {}

    def _disrupts(self, live: Obj) -> bool:
        objects = [one for one in self.objects_.values() if one["kind"] == "PodDisruptionBudget"]
        guards = guarding([Budget.of(one) for one in objects], "default", live["metadata"]["labels"])
        for one in objects:
            if one["metadata"]["name"] in {guard.name for guard in guards}:
                if not one["status"]["disruptionsAllowed"]:
                    return False
                one["status"]["disruptionsAllowed"] -= 1
        return True

    def patch(self, obj: Obj, change: Any) -> Obj:
        self._trouble()
        live = self.objects_[key_of(obj)]
        if self.conflicts or change["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            self.conflicts -= 1
            raise ApiError("the object has been modified", status=409)
        live["metadata"]["resourceVersion"] += "1"
        merged = {**live["spec"], **change["spec"]}
        live["spec"] = {key: value for key, value in merged.items() if value is not None}
        return deepcopy(live)

    def node(self, name: str = "w1") -> Obj:
        return self.objects_["v1", "Node", "", name]

    @property
    def pods(self) -> list[str]:
        return sorted(key[3] for key in self.objects_ if key[1] == "Pod")
