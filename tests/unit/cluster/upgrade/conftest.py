"""A cluster before an upgrade, out of values: one control plane or three, and workers, all of one version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeforge.artifacts.availability import Availability
from kubeforge.artifacts.model import Versions
from kubeforge.cluster.status.model import ClusterStatus
from kubeforge.cluster.status.rows import Addon, Certificate, Component, Etcd, HostStatus, Kubernetes, Member, Node
from kubeforge.cluster.upgrade.judge import Question, judge
from kubeforge.cluster.upgrade.model import UpgradePlan
from kubeforge.cluster.upgrade.runs import oldest, runs_of, versions_of
from kubeforge.cluster.upgrade.seen import Arguments, HostSeen, KubernetesSeen, NodeSeen, Room, Seen
from kubeforge.cluster.upgrade.supply import ImageAnswer
from tests.conftest import Sample, make_sample

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
OLD, NEW = "1.35.4", "1.36.3"
OFFERED = (OLD, NEW)
GIB = 1 << 30


@dataclass
class Before:
    """What can be changed before the question is asked."""

    sample: Sample
    status: ClusterStatus
    hosts: dict[str, HostSeen]
    kubernetes: KubernetesSeen
    offered: tuple[str, ...] = OFFERED
    lacking: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[ImageAnswer] = field(default_factory=list)
    refused: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    def question(self, *, ignored: Collection[str] = ()) -> Question:
        seen = Seen(status=self.status, hosts=self.hosts, kubernetes=self.kubernetes)
        runs = runs_of(seen, self.sample.inventory)
        return Question(
            spec=self.sample.spec,
            inventory=self.sample.inventory,
            seen=seen,
            runs=runs,
            now=oldest(runs, seen.status),
            offered=self.offered,
            availability=self.availability,
            images=lambda _: self.answers,
            refused=lambda version: self.refused.get(version, {}),
            ignored=ignored,
        )

    def availability(self, version: str) -> Mapping[str, Availability]:
        made = Availability(versions=versions_of(version), arch="amd64", source="source")
        return {"amd64": replace(made, **self.lacking.get(version, {}))}

    def plan(self, wanted: str = NEW, *, ignored: Collection[str] = ()) -> UpgradePlan:
        return judge(self.question(ignored=ignored), wanted)

    def runs(self, host: str, version: str, *components: str) -> None:
        """A host's components of Kubernetes are of another version."""
        names = components or (*PLANE, "kubelet")
        self.status = replace(
            self.status,
            components=tuple(
                replace(one, version=version) if one.host == host and one.component in names else one
                for one in self.status.components
            ),
            nodes=tuple(
                replace(one, version=version) if one.name == host and "kubelet" in names else one
                for one in self.status.nodes
            ),
        )
        if "kubelet" in names:
            node = replace(self.kubernetes.nodes[host], kubelet=version)
            self.kubernetes = replace(self.kubernetes, nodes={**self.kubernetes.nodes, host: node})

    def etcd(self, version: str, *hosts: str) -> None:
        members = tuple(
            replace(one, version=version) if not hosts or one.host in hosts else one for one in self.status.etcd.members
        )
        self.status = replace(self.status, etcd=replace(self.status.etcd, members=members))

    def seen_on(self, host: str, **changes: Any) -> None:
        self.hosts[host] = replace(self.hosts[host], **changes)

    def join(self, name: str, version: str) -> None:
        """Somebody else joined a node."""
        node = Node(name=name, in_inventory=False, registered=True, ready=True, version=version)
        self.status = replace(self.status, nodes=(*self.status.nodes, node))


def host_seen(name: str, versions: Versions, *, plane: bool) -> HostSeen:
    room = Room(mount="/", free=20 * GIB, size=40 * GIB)
    images = {f"registry.k8s.io/{one}:v{versions.kubernetes}" for one in (*PLANE, "kube-proxy")}
    return HostSeen(
        name=name,
        arch="amd64",
        programs={
            "kubelet": versions.kubernetes,
            "containerd": versions.containerd,
            "runc": versions.runc,
            "cni": versions.cni_plugins,
        },
        pods={**dict.fromkeys(PLANE, versions.kubernetes), "etcd": versions.etcd} if plane else {},
        arguments={"kubelet": Arguments(flags=frozenset({"node-ip"}))},
        images=frozenset(images),
        store=room,
        image_store=room,
    )


def make(version: str = OLD, *, control_planes: int = 3, workers: int = 2, **spec: Any) -> Before:
    """Return a whole cluster of one version."""
    sample = make_sample(version, control_planes=control_planes, workers=workers, **spec)
    versions = versions_of(version)
    planes = [host.name for host in sample.inventory.control_planes]
    members = [host.name for host in sample.inventory.etcd_members]
    names = [host.name for host in sample.inventory.cluster]
    ends: dict[str, Any] = {"expires": NOW + timedelta(days=300), "days": 300}
    status = ClusterStatus(
        cluster="demo",
        asked=NOW,
        kubernetes=Kubernetes(wanted=version, version=version),
        hosts=tuple(HostStatus(name=name, roles=_roles(name, planes)) for name in names),
        nodes=tuple(
            Node(name=name, registered=True, ready=True, schedulable=True, version=version)
            for name in names
            if name not in members or name in planes
        ),
        components=tuple(
            Component(host=name, component=one, ready=True, version=version) for name in planes for one in PLANE
        ),
        etcd=Etcd(
            quorum=True,
            members=tuple(Member(host=name, registered=True, answers=True, version=versions.etcd) for name in members),
        ),
        certificates=tuple(Certificate(host=name, name="apiserver", path="/p", **ends) for name in planes),
        addons=(
            Addon(name="kube-proxy", workload="DaemonSet kube-system/kube-proxy", version=version),
            Addon(name="flannel", workload="DaemonSet kube-flannel/kube-flannel-ds", version=versions.flannel),
            Addon(name="coredns", workload="Deployment kube-system/coredns", version=versions.coredns),
        ),
    )
    of_etcd = {name for name in members if name not in planes}
    nodes = {name: NodeSeen(kubelet=version, runtime=versions.containerd) for name in names if name not in of_etcd}
    hosts = {name: host_seen(name, versions, plane=name in planes) for name in names}
    return Before(sample, status, hosts, KubernetesSeen(nodes=nodes, recorded=version))


def _roles(name: str, planes: Sequence[str]) -> tuple[str, ...]:
    return ("control-plane", "etcd") if name in planes else ("worker",)


@pytest.fixture
def before() -> Callable[..., Before]:
    """Return the maker of clusters: arguments as for `make_sample`."""
    return make
