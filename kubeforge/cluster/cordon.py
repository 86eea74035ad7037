"""Cordons nodes, and remembers on the Node itself which cordons are kubeforge's own to take back.

The mark and the cordon come and go in one request, guarded by the object's version: a cordon that a person sets in the
same moment is never taken for ours, and a run that is killed leaves the next one to know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kubeforge.cluster.api import FIELD_MANAGER, Api
from kubeforge.cluster.kinds import Obj
from kubeforge.errors import ApiError

__all__ = ["CORDONED_BY", "cordon", "cordoned_by", "is_cordoned", "is_ready", "node_of", "uncordon"]

CORDONED_BY: Final = "kubeforge.dev/cordoned-by"
"""Annotation of a Node that a run of ours has cordoned and will uncordon: the run's id."""

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


def is_ready(node: Obj) -> bool:
    """Say whether its kubelet reports that it can run pods."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def cordoned_by(node: Obj) -> str | None:
    """Return the run of ours that cordoned a node; None: it is not cordoned, or somebody else did it."""
    mark: str | None = (node["metadata"].get("annotations") or {}).get(CORDONED_BY)
    return mark if is_cordoned(node) and _is_ours(node) else None


def _is_ours(node: Obj) -> bool:
    """Say whether the cordon is what we wrote: `kubectl uncordon` leaves our mark, and a cordon may follow it."""
    owners = {
        entry.get("manager")
        for entry in node["metadata"].get("managedFields") or ()
        if "f:unschedulable" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    }
    return not owners or FIELD_MANAGER in owners


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
        _patch(api, node, unschedulable=True, mark=run_id)
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
        _patch(api, node, unschedulable=None, mark=None)
        return True

    return _settled(api, name, change)


def _patch(api: Api, node: Obj, *, unschedulable: bool | None, mark: str | None) -> None:
    metadata = {"resourceVersion": node["metadata"]["resourceVersion"], "annotations": {CORDONED_BY: mark}}
    api.patch(node, {"metadata": metadata, "spec": {"unschedulable": unschedulable}})


def _settled(api: Api, name: str, change: Callable[[Obj], bool]) -> bool:
    """Change a Node as it is now; again where somebody else was faster."""
    for left in reversed(range(_TRIES)):
        try:
            return change(node_of(api, name))
        except ApiError as error:
            if error.status != _CONFLICT or not left:
                raise
    raise AssertionError
