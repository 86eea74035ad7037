"""Whose a cordon is, and who may take it back."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.cordon import CORDON_TAINT, cordon, cordoned_by, is_cordoned, node_of, uncordon
from kubeforge.errors import ApiError
from tests.unit.draining_api import DrainableApi, node

CONTROL = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("before", "run_id", "changes", "whose"),
    [
        (node(), "r2", True, "r2"),
        (node(), None, True, None),
        (node(cordoned=True), "r2", False, None),
        (node(cordoned=True), None, False, None),
        (node(by="r1"), "r2", False, "r1"),
        (node(by="r1"), None, True, None),
    ],
)
def test_cordon(before: Any, run_id: str | None, changes: bool, whose: str | None) -> None:
    api: Any = DrainableApi.of(before)
    assert cordon(api, "w1", run_id=run_id) is changes
    assert is_cordoned(api.node())
    assert cordoned_by(api.node()) == whose


@pytest.mark.parametrize(
    ("before", "foreign", "changes", "cordoned"),
    [
        (node(), True, False, False),
        (node(cordoned=True), False, False, True),
        (node(cordoned=True), True, True, False),
        (node(by="r1"), False, True, False),
        (node(by="r1"), True, True, False),
    ],
)
def test_uncordon(before: Any, foreign: bool, changes: bool, cordoned: bool) -> None:
    api: Any = DrainableApi.of(before)
    assert uncordon(api, "w1", foreign=foreign) is changes
    assert is_cordoned(api.node()) is cordoned
    assert cordoned or "taints" not in api.node()["spec"]


def test_taints_of_others_stay() -> None:
    tainted = node()
    tainted["spec"]["taints"] = [CONTROL]
    api: Any = DrainableApi.of(tainted)
    cordon(api, "w1", run_id="r1")
    ours = {"key": CORDON_TAINT, "effect": "NoSchedule", "value": "r1"}
    assert api.node()["spec"]["taints"] == [CONTROL, ours]
    uncordon(api, "w1", foreign=False)
    assert api.node()["spec"] == {"taints": [CONTROL]}


def test_the_taint_that_kubernetes_sets_by_itself_gives_way_to_ours() -> None:
    """Left from an uncordon of which the controller has not heard yet."""
    tainted = node(cordoned=True)
    del tainted["spec"]["unschedulable"]
    api: Any = DrainableApi.of(tainted)
    cordon(api, "w1", run_id="r1")
    assert cordoned_by(api.node()) == "r1"
    assert len(api.node()["spec"]["taints"]) == 1


def test_a_mark_without_a_cordon_says_nothing() -> None:
    left = node(by="r1")
    del left["spec"]["unschedulable"]
    assert cordoned_by(left) is None


def test_somebody_elses_change_in_between_is_no_failure() -> None:
    api: Any = DrainableApi.of(node(), conflicts=3)
    assert cordon(api, "w1", run_id="r1")


def test_conflicts_without_end_are_told() -> None:
    api: Any = DrainableApi.of(node(), conflicts=1000)
    with pytest.raises(ApiError, match="modified"):
        cordon(api, "w1", run_id="r1")


def test_a_node_that_is_not_there() -> None:
    api: Any = DrainableApi.of(node("w2"), node("w3"))
    with pytest.raises(ApiError, match="no node w1") as caught:
        node_of(api, "w1")
    assert caught.value.remedy == "nodes there are: w2, w3"
