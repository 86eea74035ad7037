"""What runs on each host now, and what of it an upgrade changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kubeforge.artifacts.model import Versions
from kubeforge.cluster.status.model import ClusterStatus
from kubeforge.cluster.upgrade.model import Done
from kubeforge.cluster.upgrade.seen import HostSeen, NodeSeen, Seen
from kubeforge.inventory.model import Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.spec.releases import parse, release

__all__ = [
    "ADDON_VERSIONS",
    "CNI_PLUGINS",
    "CONTAINERD",
    "FOREIGN",
    "KUBELET",
    "PLANE",
    "RUNC",
    "Runs",
    "comparable",
    "oldest",
    "runs_of",
    "versions_of",
    "wanted_on",
]

KUBELET: Final = "kubelet"
CONTAINERD: Final = "containerd"
RUNC: Final = "runc"
CNI_PLUGINS: Final = "cni"
FOREIGN: Final = "foreign"
PLANE: Final = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)
_TELLING: Final = frozenset({ETCD, *PLANE, KUBELET})
_PLANE_ROLE, _ETCD_ROLE, _WORKER = "control-plane", "etcd", "worker"

ADDON_VERSIONS: Final[Mapping[str, str]] = {
    "kube-proxy": "kubernetes",
    "flannel": "flannel",
    "coredns": "coredns",
    "traefik": "traefik",
}
"""Addon -> the field of `Versions` that has its version; others have none of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What one host runs.

    Args:
        host: its name.
        roles: see `HostStep`.
        now: component -> version without v; empty: not known.
    """

    host: str
    roles: tuple[str, ...]
    now: Mapping[str, str]

    def pending(self, versions: Versions) -> tuple[str, ...]:
        """Return the components that are not as they shall be; what nobody could ask for its version counts as due.

        Programs that run without a version of their own (compiled without one) say nothing either way.
        """
        wanted = wanted_on(self.roles, versions)
        due = {name for name, version in self.now.items() if name in wanted and version != wanted[name]}
        return tuple(name for name in self.now if name in due and (self.now[name] or name in _TELLING))

    def after(self, versions: Versions) -> Runs:
        """Return what it runs when it has gone through a step."""
        return replace(self, now={**self.now, **wanted_on(self.roles, versions)})

    def done(self, versions: Versions) -> Done:
        """Return how far the host is: by Kubernetes' own components, as others often stay as they are."""
        if not any(self.now.values()):
            return Done.UNKNOWN
        if not self.pending(versions):
            return Done.YES
        arrived = any(self.now.get(name) == versions.kubernetes for name in (*PLANE, KUBELET))
        return Done.PARTLY if arrived else Done.NO


def versions_of(kubernetes: str) -> Versions:
    """Return what goes with a version of Kubernetes.

    Raises:
        LookupError: kubeforge has no row for its minor.
    """
    return Versions.of(release(kubernetes), kubernetes)


def wanted_on(roles: tuple[str, ...], versions: Versions) -> dict[str, str]:
    """Return component -> version that a host of these roles shall run."""
    wanted: dict[str, str] = {}
    if _ETCD_ROLE in roles:
        wanted[ETCD] = versions.etcd
    if _PLANE_ROLE in roles:
        wanted |= dict.fromkeys(PLANE, versions.kubernetes)
    if {_PLANE_ROLE, _WORKER} & set(roles):
        wanted |= {CONTAINERD: versions.containerd, RUNC: versions.runc, CNI_PLUGINS: versions.cni_plugins}
        wanted[KUBELET] = versions.kubernetes
    return wanted


def runs_of(seen: Seen, inventory: Inventory) -> tuple[Runs, ...]:
    """Return what the hosts of the cluster run, then nodes that hosts.yml does not know."""
    return (*_ours(seen, inventory), *_foreign(seen))


def comparable(version: str) -> bool:
    """Whether this is a version that can be compared with others."""
    try:
        return len(parse(version)) >= 2
    except ValueError:
        return False


def oldest(runs: tuple[Runs, ...], status: ClusterStatus) -> str:
    """Return the oldest version that an API server runs; where none is known, that of the oldest kubelet."""
    servers = [one.now.get(API_SERVER, "") for one in runs]
    kubelets = [one.now.get(KUBELET, "") for one in runs]
    for found in (servers, [status.kubernetes.version], kubelets):
        known = [version for version in found if version and comparable(version)]
        if known:
            return min(known, key=parse)
    return ""


def _ours(seen: Seen, inventory: Inventory) -> Iterator[Runs]:
    versions = {(one.component, one.host): one.version for one in seen.status.components}
    versions |= {(ETCD, one.host): one.version for one in seen.status.etcd.members}
    nodes = {node.name: node.version for node in seen.status.nodes}
    groups = {_PLANE_ROLE: inventory.control_planes, _ETCD_ROLE: inventory.etcd_members, _WORKER: inventory.workers}
    for host in inventory.cluster:
        roles = tuple(role for role, members in groups.items() if host in members)
        if not roles:
            continue
        own = seen.hosts.get(host.name, HostSeen(name=host.name))
        node = seen.kubernetes.nodes.get(host.name, NodeSeen())
        now: dict[str, str] = {}
        if _ETCD_ROLE in roles:
            now[ETCD] = versions.get((ETCD, host.name)) or own.pods.get(ETCD, "")
        if _PLANE_ROLE in roles:
            # what the process says of itself before what the manifest says: it may not have come up
            now |= {name: versions.get((name, host.name)) or own.pods.get(name, "") for name in PLANE}
        if _PLANE_ROLE in roles or _WORKER in roles:
            now[CONTAINERD] = node.runtime or own.programs.get(CONTAINERD, "")
            now |= {name: own.programs.get(name, "") for name in (RUNC, CNI_PLUGINS)}
            now[KUBELET] = node.kubelet or nodes.get(host.name, "") or own.programs.get(KUBELET, "")
        yield Runs(host=host.name, roles=roles, now=now)


def _foreign(seen: Seen) -> Iterator[Runs]:
    planes = {one.host: one for one in seen.status.components if not one.in_inventory}
    for node in seen.status.nodes:
        if not node.in_inventory:
            now = {KUBELET: node.version}
            if node.name in planes:
                now |= {one.component: one.version for one in seen.status.components if one.host == node.name}
            yield Runs(host=node.name, roles=(FOREIGN,), now=now)
