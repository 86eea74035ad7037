"""Puts what hosts and API said together into one ClusterStatus. Pure; nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from kubeforge.cluster.status.certs import certificates_of
from kubeforge.cluster.status.kubernetes import Pod, Seen, addons_of, leaders_of, nodes_of, pods_of
from kubeforge.cluster.status.members import etcd_of
from kubeforge.cluster.status.model import ClusterStatus
from kubeforge.cluster.status.probe import HAPROXY_SERVICE, KEEPALIVED_SERVICE, Answer, Asked
from kubeforge.cluster.status.rows import (
    Addon,
    Component,
    Endpoint,
    HostStatus,
    Kubernetes,
    Lookup,
    Member,
    Node,
    Running,
    Versions,
    Way,
)
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.balancer import shares_address
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.pki.certificates import row
from kubeforge.pki.upload import outlived
from kubeforge.pki.verify import fingerprint
from kubeforge.spec import paths
from kubeforge.spec.addresses import api_endpoint, balancer_hosts, endpoint_kind
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import parse
from kubeforge.spec.skew import MAY_TRAIL, skew_problem

__all__ = ["Found", "runs", "status_of"]

_PLANE: Final = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one host gave.

    Args:
        host: its name.
        asked: what it was asked.
        answer: what it said; None: it could not be asked.
        why: why not.
        way: how its kubelet finds the API; None: it has none.
        dns: whether cluster DNS answers there; None: it is no node.
        components: of a control plane: name -> (what is wrong, version).
    """

    host: str
    asked: Asked
    answer: Answer | None = None
    why: str = ""
    way: Way | None = None
    dns: Lookup | None = None
    components: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def runs(answer: Answer, component: str) -> bool:
    """Whether a process of a component runs on a host."""
    return component[: paths.COMM] in answer.processes


def status_of(
    inventory: Inventory,
    spec: ClusterSpec,
    *,
    found: Mapping[str, Found],
    seen: Seen | None,
    silence: str,
    asked: datetime,
) -> ClusterStatus:
    """Return the whole, without problems.

    Args:
        inventory: everybody.
        spec: the cluster.
        found: what each host gave.
        seen: what the API said; None: it did not answer.
        silence: why not.
        asked: when.
    """
    answers = {name: one.answer for name, one in found.items() if one.answer is not None}
    nodes = [host.name for host in inventory.cluster if host in (*inventory.control_planes, *inventory.workers)]
    started = {name: answer.kubelet_started for name, answer in answers.items()}
    listed = nodes_of(seen, nodes, inventory.hosts, started)
    components = tuple(_components(inventory, found, seen))
    etcd = etcd_of(inventory.etcd_members, answers)
    addons = addons_of(seen, spec)
    certificates = [
        one
        for name, gave in found.items()
        if gave.answer is not None
        for one in certificates_of(name, gave.asked, gave.answer, asked)
    ]
    certificates.sort(key=lambda one: (one.days is not None, one.days or 0, one.host, one.path))
    return ClusterStatus(
        cluster=spec.name,
        asked=asked,
        kubernetes=Kubernetes(wanted=spec.kubernetes, version=seen.version if seen else "", problem=silence),
        endpoint=_endpoint(inventory, spec, found),
        dns=tuple(one.dns for one in found.values() if one.dns is not None),
        hosts=tuple(_host(inventory, spec, host, found[host.name]) for host in inventory.cluster),
        nodes=listed,
        components=components,
        etcd=etcd,
        certificates=tuple(certificates),
        versions=tuple(_versions(listed, components, etcd.members, addons)),
        addons=addons,
        runs=tuple(one for name, answer in answers.items() for one in _runs(name, answer)),
        invitations=outlived(seen.secrets) if seen is not None else (),
    )


def _host(inventory: Inventory, spec: ClusterSpec, host: Host, found: Found) -> HostStatus:
    balancers = balancer_hosts(spec, inventory)
    groups = {
        "control-plane": inventory.control_planes,
        "etcd": inventory.etcd_members,
        "worker": inventory.workers,
        "balancer": balancers,
    }
    roles = tuple(role for role, members in groups.items() if host in members)
    answer = found.answer
    if answer is None:
        return HostStatus(name=host.name, roles=roles, reachable=False, problem=found.why)
    return HostStatus(
        name=host.name,
        roles=roles,
        kubelet=answer.units.get("kubelet.service", ""),
        runtime=answer.units.get("containerd.service", ""),
        balancer=_balancer(spec, inventory, answer) if host in balancers else {},
        manifests=answer.manifests,
        processes=tuple(component for component in (*_PLANE, ETCD) if runs(answer, component)),
        authority=_print(answer.certificates.get(row("ca").certificate)),
        trusts=_print(kubelet.authority if (kubelet := answer.kubeconfigs.get(paths.KUBELET_CONF)) else None),
    )


def _balancer(spec: ClusterSpec, inventory: Inventory, answer: Answer) -> dict[str, str]:
    moves = shares_address(spec, inventory)
    units = (HAPROXY_SERVICE, KEEPALIVED_SERVICE) if moves else (HAPROXY_SERVICE,)
    return {unit: answer.units.get(unit, "") for unit in units}


def _print(pem: bytes | None) -> str:
    return fingerprint(pem) if pem else ""


def _endpoint(inventory: Inventory, spec: ClusterSpec, found: Mapping[str, Found]) -> Endpoint:
    try:
        address = api_endpoint(spec, inventory)
    except LookupError:
        address = ""
    ways = tuple(one.way for one in found.values() if one.way is not None)
    return Endpoint(kind=endpoint_kind(spec, inventory).value, address=address, ways=ways)


def _components(inventory: Inventory, found: Mapping[str, Found], seen: Seen | None) -> Iterator[Component]:
    """Yield the components of all control planes; of those that others joined, what the API says of them."""
    pods = {(pod.host, pod.component): pod for pod in pods_of(seen)}
    leaders = leaders_of(seen)
    ours = {host.name for host in inventory.control_planes}
    for host in inventory.control_planes:
        for component in _PLANE:
            said = found[host.name].components.get(component)
            pod = pods.get((host.name, component))
            yield _component(host.name, component, said, pod, leaders if seen else {})
    for (name, component), pod in pods.items():
        if name not in ours and component in _PLANE:
            leads = leaders[component] == name if component in leaders else None
            yield Component(
                host=name,
                component=component,
                ready=pod.ready,
                leader=leads,
                version=pod.version,
                restarts=pod.restarts,
                in_inventory=False,
            )


def _component(
    host: str, component: str, said: tuple[str, str] | None, pod: Pod | None, leaders: Mapping[str, str]
) -> Component:
    problem, version = said or ("its host cannot be asked", "")
    return Component(
        host=host,
        component=component,
        ready=None if said is None else not problem,
        leader=leaders[component] == host if component in leaders else None,
        version=version or (pod.version if pod else ""),
        restarts=pod.restarts if pod else None,
        problem=problem,
    )


def _versions(
    nodes: tuple[Node, ...], components: tuple[Component, ...], members: tuple[Member, ...], addons: tuple[Addon, ...]
) -> Iterator[Versions]:
    """Yield which version of what runs where, and whether it may stand beside the oldest API server."""
    found = [(one.component, one.version, one.host) for one in components]
    found += [("kubelet", node.version, node.name) for node in nodes]
    found += [("kube-proxy", one.version, node.name) for one in addons if one.name == "kube-proxy" for node in nodes]
    found += [(ETCD, one.version, one.host) for one in members]
    where: dict[tuple[str, str], list[str]] = {}
    for component, version, host in found:
        if version:
            where.setdefault((component, version), []).append(host)
    servers = [version for component, version in where if component == API_SERVER]
    for (component, version), hosts in sorted(where.items()):
        yield Versions(
            component=component, version=version, hosts=tuple(hosts), skew=_skew(component, version, servers)
        )


def _skew(component: str, version: str, servers: list[str]) -> str:
    if not servers or component not in MAY_TRAIL:
        return ""
    try:
        return skew_problem(component, version, min(servers, key=parse)) or ""
    except ValueError:
        return f"{component} {version} is no version that could be compared"


def _runs(host: str, answer: Answer) -> Iterator[Running]:
    if paths.CLUSTER_LOCK in answer.held:
        who = answer.held[paths.CLUSTER_LOCK] or "it does not say whose"
        yield Running(host=host, kind="lock", what=f"a run of kubeforge works on this cluster: {who}")
    if paths.LOCK in answer.held:
        yield Running(host=host, kind="busy", what="changes are being made on this host")
    elif answer.left is not None:
        yield Running(host=host, kind="interrupted", what=str(answer.left))
