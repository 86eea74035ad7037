"""What becomes of a node's labels and taints. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.kinds import Obj
from kubeforge.spec.model import Taint
from kubeforge.tasks.nodes import label_faults, taints_with

CONTROL = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def node(*, labels: dict[str, str] | None = None, taints: Any = None) -> Obj:
    return {"kind": "Node", "metadata": {"name": "w1", "labels": labels or {}}, "spec": {"taints": taints or []}}


@pytest.mark.parametrize(
    ("has", "wanted", "becomes"),
    [
        ([], (), None),
        ([NOT_READY], (), None),
        ([CONTROL, NOT_READY], (), [NOT_READY]),
        ([NOT_READY], (Taint(key=CONTROL["key"]),), [NOT_READY, CONTROL]),
        ([CONTROL], (Taint(key=CONTROL["key"]),), None),
        ([{**CONTROL, "value": "x"}], (Taint(key=CONTROL["key"]),), [CONTROL]),
    ],
)
def test_taints(has: Any, wanted: Any, becomes: Any) -> None:
    assert taints_with(node(taints=has), wanted) == becomes


def test_labels() -> None:
    assert label_faults(node(labels={"a": "1"}), [("a", "1"), ("b", "")]) == ["b="]
