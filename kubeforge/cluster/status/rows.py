"""The parts of a look at a cluster, one frozen value each: hosts, nodes, components, members, certificates. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = [
    "Addon",
    "Certificate",
    "Component",
    "Endpoint",
    "Etcd",
    "HostStatus",
    "Kubernetes",
    "Lookup",
    "Member",
    "Node",
    "Running",
    "Versions",
    "Way",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """The API as a whole.

    Args:
        wanted: version in cluster.yml.
        version: of the API server that answered; empty: none did.
        problem: why none did.
    """

    wanted: str
    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """One host of the inventory, as it says itself over SSH.

    Args:
        name: inventory name.
        roles: `control-plane`, `etcd`, `worker`, `balancer`.
        reachable: whether it could be asked.
        problem: why not.
        kubelet: systemd's ActiveState; empty where it was not asked.
        runtime: that of containerd.
        balancer: unit -> ActiveState, of the balancer's units that should run there.
        manifests: static pods that lie there, by name.
        processes: components of a control plane that run, by the name of their process.
        authority: SHA-256 fingerprint of its /etc/kubernetes/pki/ca.crt; empty: it has none.
        trusts: that of the authority in its kubelet.conf; empty: it has none.
    """

    name: str
    roles: tuple[str, ...] = ()
    reachable: bool = True
    problem: str = ""
    kubelet: str = ""
    runtime: str = ""
    balancer: Mapping[str, str] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    authority: str = ""
    trusts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node, or a host that should be one.

    Args:
        name: of node and host.
        roles: from its labels; empty for a worker without any.
        in_inventory: whether hosts.yml has it; otherwise somebody else joined it.
        registered: whether the API knows it; None: no API answers.
        ready: whether it is Ready; None: not registered, or no API answers.
        schedulable: whether new pods may come; None where `ready` is.
        version: of its kubelet, without v.
        address: its internal address.
        pressure: conditions such as `DiskPressure` that are true.
        problem: why it is not Ready.
        waiting: CertificateSigningRequest for its serving certificate that nobody has approved.
    """

    name: str
    roles: tuple[str, ...] = ()
    in_inventory: bool = True
    registered: bool | None = None
    ready: bool | None = None
    schedulable: bool | None = None
    version: str = ""
    address: str = ""
    pressure: tuple[str, ...] = ()
    problem: str = ""
    waiting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A component of one control plane.

    Args:
        host: where.
        component: `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`.
        ready: whether its own health endpoint says so; None: the host could not be asked.
        leader: whether it leads (of controller managers and schedulers one does); None: not known.
        version: without v; empty: not known.
        restarts: of its container; None: no API answers.
        problem: what it says instead.
        in_inventory: whether its host is in hosts.yml.
    """

    host: str
    component: str
    ready: bool | None = None
    leader: bool | None = None
    version: str = ""
    restarts: int | None = None
    problem: str = ""
    in_inventory: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One etcd member.

    Args:
        host: inventory name, or the member's own where it is not in the inventory; empty while it never started.
        id: hexadecimal; empty: not known.
        in_inventory: whether hosts.yml has its host.
        registered: whether etcd counts it as a member; None: no list could be had.
        answers: whether it answers on its own host; None: the host cannot be asked.
        has_data: False where its host was asked and has none.
        leader: whether it leads.
        learner: whether it does not vote yet.
        version: of etcd.
        size: of its database, bytes on disk.
        in_use: bytes of it that hold something; the rest comes back with `etcdctl defrag`.
        quota: bytes it may grow to.
        revision: newest revision of the data that it knows.
        index: last entry of raft's log that is committed.
        lag: entries it has still to apply to be where the furthest member is.
        alarms: `NOSPACE`, `CORRUPT`.
        problem: what is wrong with it.
    """

    host: str
    id: str = ""
    in_inventory: bool = True
    registered: bool | None = None
    answers: bool | None = None
    has_data: bool = True
    leader: bool = False
    learner: bool = False
    version: str = ""
    size: int = 0
    in_use: int = 0
    quota: int = 0
    revision: int = 0
    index: int = 0
    lag: int = 0
    alarms: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Etcd:
    """All members.

    Args:
        quorum: whether some member knows a leader and enough may serve; None: none could be asked.
        needed: members that must serve, of those that vote.
        leader: host of the leading member; empty: there is none.
        members: in inventory order, others after them.
    """

    quorum: bool | None = None
    needed: int = 0
    leader: str = ""
    members: tuple[Member, ...] = ()

    @property
    def voters(self) -> tuple[Member, ...]:
        """Members that count for the quorum."""
        return tuple(one for one in self.members if not one.learner and one.registered is not False)

    @property
    def well(self) -> bool:
        """Whether all serve together and none has anything to complain of."""
        return self.quorum is True and not any(one.problem or one.alarms or not one.answers for one in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate.

    Args:
        host: where it lies.
        name: kubeadm's (`apiserver`), the kubeconfig's (`admin.conf`), or `kubelet-client`, `kubelet-server`.
        path: its file.
        expires: when it ends, UTC; None: it cannot be read.
        days: whole days left, negative once it has ended; None: it cannot be read.
        authority: whether it signs others.
        rotates: whether its owner renews it by itself.
        due: whether it should have been renewed by now, or ends soon.
    """

    host: str
    name: str
    path: str
    expires: datetime | None
    days: int | None
    authority: bool = False
    rotates: bool = False
    due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Where one version of one component runs.

    Args:
        component: `kubelet`, `kube-apiserver`, `kube-proxy`, `etcd`, …
        version: without v.
        hosts: where.
        skew: why Kubernetes does not support this beside the oldest API server; empty: it does.
    """

    component: str
    version: str
    hosts: tuple[str, ...]
    skew: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One addon that cluster.yml wants.

    Args:
        name: `coredns`.
        workload: `Deployment kube-system/coredns`; empty: nothing runs for it.
        desired: pods it should have; None: no API answers, or it is missing.
        ready: pods that are Ready.
        version: its image's tag.
        problem: what is wrong.
    """

    name: str
    workload: str = ""
    desired: int | None = None
    ready: int | None = None
    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one node finds the API.

    Args:
        host: the node.
        server: URL in its kubelet.conf; on control planes the address that all others ask, where there is one.
        answers: whether an API server answers there, with a certificate that the kubelet trusts for this name.
        problem: what happens instead.
    """

    host: str
    server: str
    answers: bool
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The API's address.

    Args:
        kind: `endpoint.kind`.
        address: `host:port` for clients outside of the cluster.
        ways: of the nodes.
    """

    kind: str = ""
    address: str = ""
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Cluster DNS, as a node sees it.

    Args:
        host: the node.
        answers: whether it answered each time it was asked, with the right address.
        problem: what happened instead.
    """

    host: str
    answers: bool
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A run of kubeforge that works now, or that did not come to its end.

    Args:
        host: where its trace is.
        kind: `lock` (a run holds the cluster's lock), `busy` (an act runs on the host), `interrupted`.
        what: who holds it, or what was left undone.
    """

    host: str
    kind: str
    what: str
