"""Labels and taints of one host, merged from the spec's `nodes`. Pure; applies nothing to a cluster.

A group's entry holds for its hosts, a host's own entry wins; among groups the inventory's order of groups decides, the
later one wins. The control-plane taint is a default, and this is the one place that decides when it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeforge.inventory.model import CONTROL_PLANE, WORKERS
from kubeforge.spec.model import ClusterSpec, Node, Taint

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = ["CONTROL_PLANE_LABELS", "CONTROL_PLANE_TAINT", "node_labels", "node_taints", "runs_workloads"]

# kubeadm: phases/markcontrolplane
CONTROL_PLANE_LABELS: Final = (
    ("node-role.kubernetes.io/control-plane", ""),
    ("node.kubernetes.io/exclude-from-external-load-balancers", ""),
)
CONTROL_PLANE_TAINT: Final = Taint(key="node-role.kubernetes.io/control-plane", effect="NoSchedule")


def node_labels(spec: ClusterSpec, inventory: Inventory, host: Host) -> dict[str, str]:
    """Return the labels kubeforge sets on a host's node."""
    labels = dict(CONTROL_PLANE_LABELS) if CONTROL_PLANE in host.groups else {}
    for entry in _entries(spec, inventory, host):
        labels |= entry.labels
    return labels


def node_taints(spec: ClusterSpec, inventory: Inventory, host: Host) -> tuple[Taint, ...]:
    """Return the taints kubeforge sets on a host's node.

    Where `nodes` says nothing, a control plane is tainted unless it is in kube_node too (kubespray's reading of that),
    or the inventory has no worker at all, so that a single machine is of use.
    """
    given = [entry.taints for entry in _entries(spec, inventory, host) if entry.taints is not None]
    if given:
        return tuple(given[-1])
    only_control_plane = CONTROL_PLANE in host.groups and WORKERS not in host.groups
    return (CONTROL_PLANE_TAINT,) if only_control_plane and inventory.workers else ()


def runs_workloads(spec: ClusterSpec, inventory: Inventory, host: Host) -> bool:
    """Return whether ordinary pods can be scheduled on a host: a kubelet runs, and no taint keeps them off."""
    is_node = bool(host.groups & {CONTROL_PLANE, WORKERS})
    return is_node and all(taint.effect == "PreferNoSchedule" for taint in node_taints(spec, inventory, host))


def _entries(spec: ClusterSpec, inventory: Inventory, host: Host) -> list[Node]:
    """Return what applies to a host, weakest first."""
    groups = [name for name in inventory.groups if name == "all" or name in host.groups]
    groups.sort(key=lambda name: name != "all")
    return [spec.nodes[name] for name in [*groups, host.name] if name in spec.nodes]
