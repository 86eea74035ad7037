"""Labels and taints, by Kubernetes' own rules (apimachinery/pkg/util/validation)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS
from kubeforge.spec.model import ClusterSpec, Node
from kubeforge.spec.nodes import CONTROL_PLANE_TAINT, node_taints
from kubeforge.spec.rules.findings import about_host, caution, fault, is_dns_name
from kubeforge.spec.suggestions import did_you_mean

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["INVENTORY_RULES", "RULES"]

_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SHAPE: Final = "at most 63 letters, digits, `-`, `_`, `.`, beginning and ending with a letter or digit"


def targets(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Names in `nodes` are hosts or groups of the inventory."""
    known = {*inventory.hosts, *inventory.groups}
    for name in spec.nodes:
        if name not in known:
            yield fault(f"neither host nor group of the inventory{did_you_mean(name, known)}", "nodes", name)


def upgrade_groups(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Names in `upgrade.groups` are groups of the inventory."""
    for name in spec.upgrade.groups:
        if name not in inventory.groups:
            near = did_you_mean(name, inventory.groups)
            yield fault(f"is no group of the inventory{near}", "upgrade", "groups", name)


def labels(spec: ClusterSpec) -> Iterator[Problem]:
    """Labels have the form Kubernetes takes."""
    for name, node in spec.nodes.items():
        for key, value in node.labels.items():
            where = ("nodes", name, "labels", key)
            yield from (fault(message, *where) for message in _key_faults(key))
            yield from (fault(message, *where) for message in _value_faults(value))


def taints(spec: ClusterSpec) -> Iterator[Problem]:
    """Taints have the form Kubernetes takes, and none is given twice."""
    for name, node in spec.nodes.items():
        yield from _taints_of(name, node)


def _taints_of(name: str, node: Node) -> Iterator[Problem]:
    seen = set()
    for index, taint in enumerate(node.taints or ()):
        where = ("nodes", name, "taints", index)
        yield from (fault(message, *where, "key") for message in _key_faults(taint.key))
        yield from (fault(message, *where, "value") for message in _value_faults(taint.value))
        if (taint.key, taint.effect) in seen:
            yield fault(f"taint {taint.key}:{taint.effect} is given twice", *where)
        seen.add((taint.key, taint.effect))


def _key_faults(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if slash and not is_dns_name(prefix):
        yield f"`{prefix}` before the `/` is not a DNS name in lower case"
    if not _NAME.fullmatch(name):
        yield f"`{name}` cannot be a key: {_SHAPE}"


def _value_faults(value: str) -> Iterator[str]:
    if value and not _NAME.fullmatch(value):
        yield f"`{value}` cannot be a value: {_SHAPE}"


def both_roles(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """A control plane in kube_node is a control plane that runs pods; said, because other tools read it otherwise."""
    for host in inventory.control_planes:
        if WORKERS not in host.groups or CONTROL_PLANE_TAINT in node_taints(spec, inventory, host):
            continue
        if host.name not in spec.nodes or spec.nodes[host.name].taints is None:
            yield about_host(
                host,
                f"in {CONTROL_PLANE} and {WORKERS}: a control plane that also runs pods; "
                f"for a control plane only, take it out of {WORKERS}",
                warning=True,
            )


def room_for_pods(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Some host must take ordinary pods."""
    hosts = (*inventory.control_planes, *inventory.workers)
    hard = [host for host in hosts if any(t.effect != "PreferNoSchedule" for t in node_taints(spec, inventory, host))]
    if hosts and len(hard) == len(hosts):
        yield caution("every node is tainted: pods without tolerations will run nowhere", "nodes")


RULES: Final = (labels, taints)
INVENTORY_RULES: Final = (targets, upgrade_groups, both_roles, room_for_pods)
