"""Which budget guards a pod, and whether it ever lets one go."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.budgets import Budget, guarding, selects
from tests.unit.draining_api import budget

WEB = {"app": "web", "tier": "front"}


def expression(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        (expression("In", "app", "web", "api"), True),
        (expression("In", "app", "api"), False),
        (expression("In", "missing", "web"), False),
        (expression("NotIn", "app", "api"), True),
        (expression("NotIn", "app", "web"), False),
        (expression("NotIn", "missing", "web"), True),
        (expression("Exists", "tier"), True),
        (expression("Exists", "missing"), False),
        (expression("DoesNotExist", "missing"), True),
        (expression("DoesNotExist", "tier"), False),
        ({"matchLabels": {"app": "web"}, **expression("DoesNotExist", "tier")}, False),
    ],
)
def test_selectors(selector: Any, selected: bool) -> None:
    assert selects(selector, WEB) is selected


def test_a_budget_guards_its_own_namespace() -> None:
    own = Budget.of(budget())
    assert guarding([own], "default", WEB) == (own,)
    assert guarding([own], "other", WEB) == ()


def test_it_is_named_with_its_numbers() -> None:
    said = str(Budget.of(budget(allowed=0, desired=2, expected=3)))
    assert said == "budget default/web (minAvailable 2): 2 of 3 pods are Ready, 2 must be, 0 may go now"


@pytest.mark.parametrize(
    ("desired", "expected", "never"), [(1, 2, False), (2, 2, True), (3, 2, True), (1, 1, True), (0, 0, False)]
)
def test_one_that_never_allows(desired: int, expected: int, never: bool) -> None:
    assert Budget.of(budget(desired=desired, expected=expected)).never is never


def test_numbers_of_another_writing_say_nothing() -> None:
    changed = budget(desired=2, expected=2)
    changed["metadata"]["generation"] = 2
    assert not Budget.of(changed).never


def test_a_budget_that_nobody_has_counted_yet() -> None:
    new = budget()
    del new["status"]
    read = Budget.of(new)
    assert (read.allowed, read.never) == (0, False)
