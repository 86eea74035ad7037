"""Evicts the pods of a node and waits until they are gone. Says what becomes of each of them, and why one stays.

Source: kubernetes.io/docs/concepts/scheduling-eviction/api-eviction. Answers to an eviction: 201 it ends; 404 it has
gone; 409 another pod has its name by now (we name the UID); 429 a budget allows none now, or the API server is busy;
500 two budgets guard it; 403 with NamespaceTerminating: its namespace goes, and it with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.budgets import Budget, guarding, read_budgets
from kubeforge.cluster.conditions import Condition, until
from kubeforge.cluster.draining import DrainOptions, Fate, Pod, pods_of
from kubeforge.cluster.kinds import Obj
from kubeforge.errors import ApiError

__all__ = ["Eviction", "evict_all"]

_DONE: Final = (200, 201)
_GONE: Final = (404, 409)
_TOO_MANY: Final = 429
_AGAIN: Final = 2.0  # seconds until a pod that a budget keeps is asked for again; kubectl takes 5
_LATE: Final = 5.0  # seconds beyond its grace after which a pod that ends is named with what holds it


@dataclass(slots=True)
class Eviction:
    """One pod on its way.

    Args:
        pod: as it was sorted.
        began: when it was first asked for, seconds of the clock.
        accepted: when it was told to end; None: not yet.
        refusal: why it was not, the last time it was asked for.
        asked: when that was.
        gone: when it was seen to be gone; None: not yet.
    """

    pod: Pod
    began: float
    accepted: float | None = None
    refusal: str = ""
    asked: float = float("-inf")
    gone: float | None = None


def evict_all(
    api: Api,
    node: str,
    pods: Sequence[Pod],
    options: DrainOptions,
    *,
    step: str,
    host: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Pod, ...]:
    """Evict pods side by side and return them when all of them are gone.

    Args:
        api: the cluster.
        node: whose pods they are.
        pods: those that shall go, see `draining.Sorted.going`.
        options: of the drain.
        step: what is being done, for errors.
        host: whom errors are about; the node's host where it takes part in the run.
        say: told what becomes of each pod.
        checkpoint: called again and again; may raise to end the wait.
        clock: seconds.

    Raises:
        DeadlineExceeded: some are still there; each is named with what keeps it.
        ApiError: the API refused an eviction for good.
    """
    loop = _Loop(api, node, options, step, host, say, clock, [_begun(pod, clock()) for pod in pods])
    condition = Condition(
        name=f"the pods of node {node} are gone",
        lacks=loop.lacks,
        deadline=options.deadline,
        evidence=loop.evidence,
        remedy="the node is put back as it was; end what holds these pods (see above), or allow more by --deadline, "
        "then drain again",
    )
    until(condition, step=step, host=host, checkpoint=checkpoint)
    return tuple(pods)


def _begun(pod: Pod, now: float) -> Eviction:
    return Eviction(pod=pod, began=now, accepted=now if pod.fate is Fate.ENDS else None)


@dataclass(slots=True)
class _Loop:
    """What one drain knows between two looks at the node."""

    api: Api
    node: str
    options: DrainOptions
    step: str
    host: str | None
    say: Callable[[str], None]
    clock: Callable[[], float]
    evictions: Sequence[Eviction]
    seen: dict[str, Obj] = field(default_factory=dict)

    def lacks(self) -> str | None:
        """Look at the node, ask for those that may be asked for; say what is left."""
        self.seen = {pod["metadata"]["uid"]: pod for pod in pods_of(self.api, self.node)}
        self._note_gone()
        now = self.clock()
        due = [one for one in self._left() if one.accepted is None and now - one.asked >= _AGAIN]
        self.api.each([partial(self._ask, one) for one in due])
        left = self._left()
        if not left:
            return None
        refused = [one for one in left if one.refusal]
        told = f"{len(left)} of {len(self.evictions)} are left"
        return f"{told}, {len(refused)} of them refused" if refused else told

    def evidence(self) -> list[str]:
        """Say of each pod that is left what keeps it."""
        return [f"{one.pod}: {self._keeps(one)}" for one in self._left()]

    def _left(self) -> list[Eviction]:
        return [one for one in self.evictions if one.gone is None]

    def _note_gone(self) -> None:
        for one in self._left():
            if one.pod.uid not in self.seen:
                one.gone = self.clock()
                self.say(f"pod {one.pod}: gone after {one.gone - one.began:.0f} s")

    def _ask(self, one: Eviction) -> None:
        """Ask for one pod; raises nothing but what ends the drain or passes by itself."""
        one.asked = self.clock()
        status, answer = self._request(one.pod)
        if status in _DONE:
            one.accepted, one.refusal = self.clock(), ""
            self.say(f"pod {one.pod}: evicted, has {one.pod.grace} s to end")
        elif status not in _GONE:
            self._refused(one, self._reason(one.pod, status, answer))

    def _request(self, pod: Pod) -> tuple[int, Obj]:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        how: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
        if self.options.dead:
            return self.api.answer("DELETE", path, {"gracePeriodSeconds": 0, **how})
        if self.options.grace is not None:
            how["gracePeriodSeconds"] = self.options.grace
        metadata = {"name": pod.name, "namespace": pod.namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": how}
        return self.api.answer("POST", f"{path}/eviction", body)

    def _refused(self, one: Eviction, why: str) -> None:
        if why != one.refusal:
            self.say(f"pod {one.pod}: not yet: {why}")
        one.refusal = why

    def _reason(self, pod: Pod, status: int, answer: Obj) -> str:
        """Say why an eviction was refused; worth another try but for what can never pass."""
        message = str(answer.get("message") or status)
        causes = (answer.get("details") or {}).get("causes") or ()
        reasons = {str(cause.get("reason")) for cause in causes}
        if status == _TOO_MANY and "DisruptionBudget" in reasons:
            return "; ".join(map(str, self._guards(pod))) or message
        if status in (401, 405, 422) or (status == 403 and "NamespaceTerminating" not in reasons):
            raise ApiError(
                f"pod {pod} cannot be evicted ({status}): {message}",
                host=self.host,
                step=self.step,
                remedy="kubeforge evicts as the cluster's administrator: see who took that right, then drain again",
                status=status,
            )
        return f"the API refused ({status}): {message}"

    def _guards(self, pod: Pod) -> tuple[Budget, ...]:
        labels = (self.seen.get(pod.uid) or {"metadata": {}})["metadata"].get("labels") or {}
        return guarding(read_budgets(self.api, pod.namespace), pod.namespace, labels)

    def _keeps(self, one: Eviction) -> str:
        if one.accepted is None:
            return one.refusal or "was not asked for in time"
        finalizers = (self.seen.get(one.pod.uid) or {"metadata": {}})["metadata"].get("finalizers") or ()
        since = self.clock() - one.accepted
        if finalizers:
            return f"ends since {since:.0f} s; finalizers hold it that nobody has taken away: {', '.join(finalizers)}"
        if since < one.pod.grace + _LATE:
            return f"ends since {since:.0f} s, and has {one.pod.grace} s for it"
        return f"ends since {since:.0f} s, {one.pod.grace} s were its time: the node's kubelet does not say it is gone"
