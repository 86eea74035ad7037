"""Cordons nodes, and remembers on the Node itself which cordons are kubeforge's own to take back.

Kubernetes taints a cordoned node by itself (kubernetes.io/docs/reference/labels-annotations-taints,
node.kubernetes.io/unschedulable), keeps a taint of that key that is there already, and takes it away with the cordon,
whoever ends that (tried on 1.36.3). So the taint's value is our mark: it cannot outlive the cordon it belongs to, as an
annotation would. Both come and go in one request, guarded by the object's version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.kinds import Obj
from kubeforge.errors import ApiError

__all__ = ["CORDON_TAINT", "cordon", "cordoned_by", "is_cordoned", "node_of", "uncordon"]

CORDON_TAINT: Final = "node.kubernetes.io/unschedulable"
"""Key of the taint of a cordoned node; its value is the id of the run of ours that cordoned it and will uncordon it."""

_CONFLICT: Final = 409
_TRIES: Final = 10  # somebody else changed the Node between our two requests, so often in a row


def node_of(api: Api, name: str) -> Obj:
    """Return a Node.

    Raises:
        ApiError: there is none of that name; the message names those there are.
    """
    node = api.get("v1", "Node", name)
    if node is None:
        names = ", ".join(sorted(one["metadata"]["name"] for one in api.objects("v1", "Node")))
        raise ApiError(f"the cluster has no node {name}", remedy=f"nodes there are: {names or 'none'}")
    return {"apiVersion": "v1", "kind": "Node", **node}


def is_cordoned(node: Obj) -> bool:
    """Say whether no new pods come to a node."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def cordoned_by(node: Obj) -> str | None:
    """Return the run of ours that cordoned a node; None: it is not cordoned, or somebody else did it."""
    marks = [taint.get("value") for taint in _taints(node) if taint["key"] == CORDON_TAINT]
    return next(filter(None, marks), None) if is_cordoned(node) else None


def _taints(node: Obj) -> list[dict[str, Any]]:
    return list((node.get("spec") or {}).get("taints") or ())


def cordon(api: Api, name: str, *, run_id: str | None) -> bool:
    """Let no new pods come to a node.

    Args:
        api: the cluster.
        name: the node's.
        run_id: the run that will uncordon it; None: the cordon is a person's and stays until a person takes it back.

    Returns:
        Whether anything was changed: a node that is cordoned stays whose it is, unless it becomes a person's.

    Raises:
        ApiError: there is no such node, or the API refused.
    """

    def change(node: Obj) -> bool:
        if is_cordoned(node) and (run_id is not None or cordoned_by(node) is None):
            return False
        _patch(api, node, unschedulable=True, taint={"value": run_id} if run_id else {})
        return True

    return _settled(api, name, change)


def uncordon(api: Api, name: str, *, foreign: bool) -> bool:
    """Let new pods come to a node again.

    Args:
        api: the cluster.
        name: the node's.
        foreign: also where a person has cordoned it.

    Returns:
        Whether anything was changed.

    Raises:
        ApiError: there is no such node, or the API refused.
    """

    def change(node: Obj) -> bool:
        if not is_cordoned(node) or (cordoned_by(node) is None and not foreign):
            return False
        _patch(api, node, unschedulable=None, taint=None)
        return True

    return _settled(api, name, change)


def _patch(api: Api, node: Obj, *, unschedulable: bool | None, taint: dict[str, str] | None) -> None:
    """Write cordon and taint; a list is replaced whole, so the object's version guards what others did to it."""
    own = [] if taint is None else [{"key": CORDON_TAINT, "effect": "NoSchedule", **taint}]
    taints = [one for one in _taints(node) if one["key"] != CORDON_TAINT] + own
    spec = {"unschedulable": unschedulable, "taints": taints or None}
    api.patch(node, {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": spec})


def _settled(api: Api, name: str, change: Callable[[Obj], bool]) -> bool:
    """Change a Node as it is now; again where somebody else was faster."""
    for left in reversed(range(_TRIES)):
        try:
            return change(node_of(api, name))
        except ApiError as error:
            if error.status != _CONFLICT or not left:
                raise
    raise AssertionError
