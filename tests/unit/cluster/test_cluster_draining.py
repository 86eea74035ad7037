"""Which pods of a node go, stay, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.budgets import Budget
from kubeforge.cluster.draining import DrainOptions, Fate, sort_pods
from tests.unit.draining_api import budget, pod

ORDINARY = DrainOptions()
DAEMON = {"kind": "DaemonSet", "name": "flannel", "controller": True}
SCRATCH = [{"name": "scratch", "emptyDir": {}}]
DEAD = DrainOptions(dead=True)
AGAIN = "ReplicaSet web-5d brings up another"


@pytest.mark.parametrize(
    ("given", "options", "fate", "why"),
    [
        (pod("a"), ORDINARY, Fate.EVICT, AGAIN),
        (pod("a", owner=DAEMON), ORDINARY, Fate.LEAVE, "DaemonSet flannel runs on every node, cordoned or not"),
        (
            pod("a", owner=None, annotations={"kubernetes.io/config.mirror": "x"}),
            ORDINARY,
            Fate.LEAVE,
            "is a static pod: its manifest lies on the host",
        ),
        (pod("a", phase="Succeeded", owner=None), ORDINARY, Fate.LEAVE, "has ended"),
        (pod("a", phase="Failed", volumes=SCRATCH), ORDINARY, Fate.LEAVE, "has ended"),
        (pod("a", deletionTimestamp="now", owner=None), ORDINARY, Fate.ENDS, "was told to end before"),
        (pod("a", owner=None), ORDINARY, Fate.REFUSE, "no controller brings it up again"),
        (pod("a", owner={**DAEMON, "controller": False}), ORDINARY, Fate.REFUSE, "no controller brings it up again"),
        (pod("a", owner=None), DrainOptions(force=True), Fate.EVICT, "nobody brings it up again"),
        (pod("a", volumes=SCRATCH), ORDINARY, Fate.REFUSE, "what is in its emptyDir would be lost: scratch"),
        (pod("a", volumes=SCRATCH), DrainOptions(delete_local=True), Fate.EVICT, AGAIN),
        (pod("a", volumes=[{"name": "h", "hostPath": {}}]), ORDINARY, Fate.EVICT, AGAIN),
        (pod("a", owner=None), DEAD, Fate.EVICT, "is lost with its host; nobody brings it up again"),
        (pod("a", deletionTimestamp="now"), DEAD, Fate.EVICT, f"is lost with its host; {AGAIN}"),
        (pod("a", owner=DAEMON), DEAD, Fate.LEAVE, "DaemonSet flannel runs on every node, cordoned or not"),
    ],
)
def test_fates(given: Any, options: DrainOptions, fate: Fate, why: str) -> None:
    (judged,) = sort_pods([given], [], options).pods
    assert (judged.fate, judged.why) == (fate, why)


def test_a_budget_that_never_allows_refuses_before_anything_is_done() -> None:
    never = Budget.of(budget(allowed=0, desired=2, expected=2))
    (judged,) = sort_pods([pod("a")], [never], ORDINARY).refused
    assert judged.why == (
        "budget default/web (minAvailable 2): 2 of 2 pods are Ready, 2 must be, 0 may go now: that never lets one go"
    )
    assert "more replicas" in judged.remedy


def test_a_pod_that_is_not_ready_may_go_whatever_its_budget_says() -> None:
    """Budgets count pods that are Ready: the API server decides, see unhealthyPodEvictionPolicy."""
    never = Budget.of(budget(allowed=0, desired=2, expected=2))
    assert not sort_pods([pod("a", ready=False)], [never], ORDINARY).refused


def test_two_budgets_refuse() -> None:
    two = [Budget.of(budget("one")), Budget.of(budget("two"))]
    (judged,) = sort_pods([pod("a")], two, ORDINARY).refused
    assert "default/one and default/two" in judged.why


def test_they_are_sorted_and_counted() -> None:
    found = sort_pods([pod("b"), pod("a", deletionTimestamp="now"), pod("c", owner=None)], [], ORDINARY)
    assert [str(one) for one in found.going] == ["default/a", "default/b"]
    assert [str(one) for one in found.refused] == ["default/c"]


@pytest.mark.parametrize(("grace", "seconds"), [(None, 30), (0, 0), (5, 5)])
def test_grace(grace: int | None, seconds: int) -> None:
    (judged,) = sort_pods([pod("a")], [], DrainOptions(grace=grace)).pods
    assert judged.grace == seconds
