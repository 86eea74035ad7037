"""What `kubeforge status` shows: nodes, control plane, etcd, certificates, as one frozen value. Changes nothing.

Whatever cannot be asked is said in its place, so half a cluster gives half a picture and never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from kubeforge.cluster.access import connect
from kubeforge.cluster.api import Api
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.serving import SIGNER, asker, is_pending
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.operations.model import Queries
from kubeforge.pki.certificates import Kind, rows_for
from kubeforge.pki.verify import time_left
from kubeforge.transport.base import Remote

__all__ = ["CertificateStatus", "ClusterStatus", "ComponentStatus", "EtcdStatus", "NodeStatus", "look"]

_CONTROL_PLANE: Final = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)
_ROLE: Final = "node-role.kubernetes.io/"
_THREADS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One host as a node.

    Args:
        name: of host and node.
        roles: from its labels; empty for a worker without any.
        ready: whether Kubernetes counts it as Ready; None: it is not registered, or nobody could be asked.
        version: of its kubelet.
        address: its internal address.
        problem: why it is not Ready, or what it lacks though it is; empty where all is well.
    """

    name: str
    roles: tuple[str, ...] = ()
    ready: bool | None = None
    version: str = ""
    address: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """One static pod of a control plane."""

    host: str
    component: str
    ready: bool
    version: str
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdStatus:
    """One etcd member; `problem` is empty where it serves."""

    host: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """One certificate of a control plane and the whole days it is still valid."""

    host: str
    name: str
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """One look at a cluster.

    Args:
        api: `v1.36.3`; empty where no API answers.
        problem: why no API answers.
        nodes: every host of the inventory that should be a node, and every other node there is.
        components: static pods, by host.
        etcd: members.
        certificates: of control planes, the shortest-lived first.
        unreachable: host -> why.
    """

    api: str = ""
    problem: str = ""
    nodes: tuple[NodeStatus, ...] = ()
    components: tuple[ComponentStatus, ...] = ()
    etcd: tuple[EtcdStatus, ...] = ()
    certificates: tuple[CertificateStatus, ...] = ()
    unreachable: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing is amiss."""
        return (
            bool(self.api)
            and not self.unreachable
            and all(node.ready and not node.problem for node in self.nodes)
            and all(component.ready for component in self.components)
            and not any(member.problem for member in self.etcd)
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"good": self.good, **asdict(self)}


def look(inventory: Inventory, remote_of: Callable[[str], Remote]) -> ClusterStatus:
    """Ask a cluster how it is, all hosts side by side.

    Args:
        inventory: whose control planes and etcd members are asked.
        remote_of: host name -> Remote.
    """
    servers = {host.name: host for host in (*inventory.control_planes, *inventory.etcd_members)}
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        kubernetes = pool.submit(_kubernetes, inventory, remote_of)
        hosts = [pool.submit(_host, inventory, host, remote_of) for host in servers.values()]
        answers = [future.result() for future in hosts]
    api, problem, nodes, components = kubernetes.result()
    certificates = sorted((one for answer in answers for one in answer.certificates), key=lambda one: one.days)
    return ClusterStatus(
        api=api,
        problem=problem,
        nodes=nodes,
        components=components,
        etcd=tuple(answer.etcd for answer in answers if answer.etcd is not None),
        certificates=tuple(certificates),
        unreachable={answer.name: answer.why for answer in answers if answer.why},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _HostAnswer:
    name: str
    etcd: EtcdStatus | None = None
    certificates: tuple[CertificateStatus, ...] = ()
    why: str = ""


def _host(inventory: Inventory, host: Host, remote_of: Callable[[str], Remote]) -> _HostAnswer:
    try:
        remote = remote_of(host.name)
        rows = [row for row in rows_for(inventory, host) if row.kind is not Kind.KEY_PAIR]
        seen = remote.observe(Queries(reads=tuple(row.certificate for row in rows)))
        member = host in inventory.etcd_members
        etcd = EtcdStatus(host=host.name, problem=lacks_health(remote) or "") if member else None
    except KubeforgeError as error:
        return _HostAnswer(name=host.name, why=error.cause)
    now = datetime.now(tz=UTC)
    certificates = [
        CertificateStatus(host=host.name, name=row.name, days=time_left(seen.contents[row.certificate], now).days)
        for row in rows
        if row.certificate in seen.contents
    ]
    return _HostAnswer(name=host.name, etcd=etcd, certificates=tuple(certificates))


_Kubernetes = tuple[str, str, tuple[NodeStatus, ...], tuple[ComponentStatus, ...]]


def _kubernetes(inventory: Inventory, remote_of: Callable[[str], Remote]) -> _Kubernetes:
    wanted = [host.name for host in inventory.hosts.values() if host in (*inventory.control_planes, *inventory.workers)]
    try:
        api = connect([partial(remote_of, host.name) for host in inventory.control_planes])
        questions = (_version, _nodes, _pods, _requests)
        version, nodes, pods, requests = api.each([partial(question, api) for question in questions])
    except KubeforgeError as error:
        why = "; ".join(reason.splitlines()[0] for reason in error.evidence) or error.cause
        return "", why, tuple(NodeStatus(name=name, problem="not known") for name in wanted), ()
    waiting = {asker(request): request["metadata"]["name"] for request in requests if is_pending(request)}
    known = {node["metadata"]["name"]: _node(node, waiting, wanted) for node in nodes}
    missing = {name: NodeStatus(name=name, problem="is not registered") for name in wanted if name not in known}
    listed = [(known | missing)[name] for name in dict.fromkeys((*wanted, *known))]
    return version[0]["gitVersion"], "", tuple(listed), _components(inventory, [_component(pod) for pod in pods])


def _components(inventory: Inventory, found: Sequence[ComponentStatus]) -> tuple[ComponentStatus, ...]:
    """Return what was found, and as not ready what every host must have and has not."""
    there = {(one.host, one.component) for one in found}
    stacked = [host for host in inventory.control_planes if host in inventory.etcd_members]
    wanted = [(host.name, name) for host in stacked for name in (ETCD,)]
    wanted += [(host.name, name) for host in inventory.control_planes for name in _CONTROL_PLANE]
    lacking = [
        ComponentStatus(host=host, component=name, ready=False, version="", restarts=0)
        for host, name in wanted
        if (host, name) not in there
    ]
    return (*found, *lacking)


def _version(api: Api) -> Sequence[Obj]:
    return [api.json("/version")]


def _nodes(api: Api) -> Sequence[Obj]:
    return api.objects("v1", "Node")


def _pods(api: Api) -> Sequence[Obj]:
    return api.objects("v1", "Pod", namespace="kube-system", labels={"tier": "control-plane"})


def _requests(api: Api) -> Sequence[Obj]:
    return api.objects("certificates.k8s.io/v1", "CertificateSigningRequest", fields={"spec.signerName": SIGNER})


def _node(node: Obj, waiting: Mapping[str, str], ours: Collection[str]) -> NodeStatus:
    metadata, status = node["metadata"], node.get("status") or {}
    conditions: list[Obj] = status.get("conditions") or []
    ready: Obj = next((one for one in conditions if one["type"] == "Ready"), {})
    good = ready.get("status") == "True"
    addresses = [one["address"] for one in status.get("addresses", ()) if one["type"] == "InternalIP"]
    name = metadata["name"]
    problem = "" if good else ready.get("message", "it has not reported yet")
    if good and name in waiting:
        problem = _unserved(waiting[name], known=name in ours)
    return NodeStatus(
        name=name,
        roles=tuple(sorted(key.removeprefix(_ROLE) for key in metadata.get("labels", {}) if key.startswith(_ROLE))),
        ready=good,
        version=(status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        address=addresses[0] if addresses else "",
        problem=problem,
    )


def _unserved(request: str, *, known: bool) -> str:
    """Say what mends a node whose kubelet nobody can verify, so that `logs` and `exec` fail there."""
    ours = "kubeforge apply approves it"
    other = f"kubeforge kubectl certificate approve {request}, or take it into the inventory and kubeforge apply"
    return f"its serving certificate waits for approval: {ours if known else other}"


def _component(pod: Obj) -> ComponentStatus:
    states = (pod.get("status") or {}).get("containerStatuses") or [{}]
    image = pod["spec"]["containers"][0]["image"]
    return ComponentStatus(
        host=pod["spec"].get("nodeName", ""),
        component=pod["metadata"]["labels"].get("component", pod["metadata"]["name"]),
        ready=bool(states[0].get("ready")),
        version=image.partition("@")[0].rpartition(":")[2],
        restarts=int(states[0].get("restartCount", 0)),
    )
