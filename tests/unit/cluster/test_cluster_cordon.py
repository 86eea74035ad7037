"""Whose a cordon is, and who may take it back."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.cordon import CORDONED_BY, cordon, cordoned_by, is_cordoned, node_of, uncordon
from kubeforge.errors import ApiError
from tests.unit.draining_api import DrainableApi, node

OURS = {CORDONED_BY: "r1"}


@pytest.mark.parametrize(
    ("before", "run_id", "changes", "whose"),
    [
        (node(), "r2", True, "r2"),
        (node(), None, True, None),
        (node(cordoned=True), "r2", False, None),
        (node(cordoned=True), None, False, None),
        (node(cordoned=True, annotations=OURS), "r2", False, "r1"),
        (node(cordoned=True, annotations=OURS), None, True, None),
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
        (node(cordoned=True, annotations=OURS), False, True, False),
        (node(cordoned=True, annotations=OURS), True, True, False),
    ],
)
def test_uncordon(before: Any, foreign: bool, changes: bool, cordoned: bool) -> None:
    api: Any = DrainableApi.of(before)
    assert uncordon(api, "w1", foreign=foreign) is changes
    assert is_cordoned(api.node()) is cordoned
    assert cordoned or CORDONED_BY not in api.node()["metadata"]["annotations"]


def test_a_mark_without_a_cordon_says_nothing() -> None:
    """`kubectl uncordon` leaves it."""
    assert cordoned_by(node(annotations=OURS)) is None


@pytest.mark.parametrize(("manager", "whose"), [("kubeforge", "r1"), ("kubectl-cordon", None)])
def test_a_mark_under_somebody_elses_cordon_says_nothing(manager: str, whose: str | None) -> None:
    """`kubectl uncordon`, and later `kubectl cordon`."""
    again = node(cordoned=True, annotations=OURS)
    again["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}]
    assert cordoned_by(again) == whose


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
