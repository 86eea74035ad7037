"""PodDisruptionBudgets: which one guards a pod, what it allows now, and whether it ever will. Pure but for the reading.

Source: kubernetes.io/docs/tasks/run-application/configure-pdb and /docs/concepts/scheduling-eviction/api-eviction. The
eviction API refuses a pod that two budgets guard (500), and one whose budget allows no disruption (429).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeforge.cluster.api import Api
from kubeforge.cluster.kinds import Obj

__all__ = ["Budget", "guarding", "read_budgets", "selects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One PodDisruptionBudget, with the numbers that its controller has counted.

    Args:
        namespace: where its pods are.
        name: its own.
        selector: a LabelSelector; None selects nothing, an empty one every pod of the namespace (policy/v1).
        wants: what it asks for, as it is written: `minAvailable 2`, `maxUnavailable 0`.
        allowed: disruptions it allows now.
        healthy: pods that are Ready now.
        desired: pods that must be Ready.
        expected: pods there shall be, Ready or not.
        counted: whether the numbers are of the budget as it is written now.
    """

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    wants: str = ""
    allowed: int = 0
    healthy: int = 0
    desired: int = 0
    expected: int = 0
    counted: bool = True

    @staticmethod
    def of(obj: Obj) -> Budget:
        """Return the budget that an object says."""
        metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
        wanted = [f"{field} {spec[field]}" for field in ("minAvailable", "maxUnavailable") if field in spec]
        return Budget(
            namespace=metadata["namespace"],
            name=metadata["name"],
            selector=spec.get("selector"),
            wants=", ".join(wanted) or "maxUnavailable 1",
            allowed=status.get("disruptionsAllowed") or 0,
            healthy=status.get("currentHealthy") or 0,
            desired=status.get("desiredHealthy") or 0,
            expected=status.get("expectedPods") or 0,
            counted=(status.get("observedGeneration") or 0) >= (metadata.get("generation") or 0),
        )

    @property
    def never(self) -> bool:
        """Whether it lets no Ready pod go for as long as it and the number of replicas stay as they are."""
        return self.counted and 0 < self.expected <= self.desired

    def __str__(self) -> str:
        numbers = f"{self.healthy} of {self.expected} pods are Ready, {self.desired} must be, {self.allowed} may go now"
        return f"budget {self.namespace}/{self.name} ({self.wants}): {numbers}"


def read_budgets(api: Api, namespace: str | None = None) -> tuple[Budget, ...]:
    """Return the budgets of a namespace; of all where none is given.

    Raises:
        ApiError: they cannot be read.
    """
    return tuple(Budget.of(obj) for obj in api.objects("policy/v1", "PodDisruptionBudget", namespace=namespace))


def guarding(budgets: Iterable[Budget], namespace: str, labels: Mapping[str, str]) -> tuple[Budget, ...]:
    """Return the budgets that guard a pod of some namespace with some labels."""
    return tuple(one for one in budgets if one.namespace == namespace and selects(one.selector, labels))


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector selects something with these labels; None selects nothing."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions: Sequence[Mapping[str, Any]] = selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:  # DoesNotExist
            return key not in labels
