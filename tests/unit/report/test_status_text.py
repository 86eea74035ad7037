"""The status on one screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from kubeforge.cluster.status.model import ClusterStatus, Problem, Severity
from kubeforge.cluster.status.rows import (
    Addon,
    Certificate,
    Component,
    Endpoint,
    Etcd,
    HostStatus,
    Kubernetes,
    Lookup,
    Member,
    Node,
    Versions,
    Way,
)
from kubeforge.report.status import as_text

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
GOOD = ClusterStatus(
    cluster="demo",
    asked=NOW,
    kubernetes=Kubernetes(wanted="1.36.3", version="1.36.3"),
    endpoint=Endpoint(kind="first", address="192.0.2.1:6443", ways=(Way(host="w1", server="x", answers=True),)),
    dns=(Lookup(host="cp1", answers=True), Lookup(host="w1", answers=False, problem="no answer")),
    hosts=(
        HostStatus(name="cp1", roles=("control-plane", "etcd"), kubelet="active", runtime="active"),
        HostStatus(name="w1", roles=("worker",), kubelet="active", runtime="active"),
    ),
    nodes=(
        Node(
            name="cp1",
            roles=("control-plane",),
            registered=True,
            ready=True,
            schedulable=True,
            version="1.36.3",
            address="192.0.2.1",
        ),
        Node(name="w1", registered=True, ready=True, schedulable=True, version="1.36.3", address="192.0.2.2"),
    ),
    components=tuple(
        Component(host="cp1", component=one, ready=True, leader=one != KUBE[0], restarts=0) for one in KUBE
    ),
    etcd=Etcd(
        quorum=True,
        needed=1,
        leader="cp1",
        members=(
            Member(
                host="cp1",
                id="a1",
                registered=True,
                answers=True,
                leader=True,
                version="3.6.16",
                size=5 << 20,
                in_use=2 << 20,
                quota=2 << 30,
            ),
        ),
    ),
    certificates=(
        Certificate(host="cp1", name="apiserver", path="/pki/apiserver.crt", expires=NOW, days=364),
        Certificate(host="cp1", name="ca", path="/pki/ca.crt", expires=NOW, days=3649, authority=True),
    ),
    versions=(Versions(component="kubelet", version="1.36.3", hosts=("cp1", "w1")),),
    addons=(Addon(name="coredns", workload="Deployment kube-system/coredns", desired=2, ready=2), Addon(name="bridge")),
)


def test_all_is_well() -> None:
    assert as_text(GOOD).splitlines() == [
        "Cluster demo, Kubernetes v1.36.3: all is well",
        "",
        "NODE  ROLES          READY  VERSION  ADDRESS    KUBELET  NOTES",
        "cp1   control-plane  yes    1.36.3   192.0.2.1  active   -",
        "w1    worker         yes    1.36.3   192.0.2.2  active   -",
        "",
        "CONTROL PLANE  kube-apiserver  kube-controller-manager  kube-scheduler",
        "cp1            ready           ready, leads             ready, leads",
        "",
        "ETCD  STATE   VERSION  SIZE     IN USE   QUOTA    LAG  ALARMS",
        "cp1   leader  3.6.16   5.0 MiB  2.0 MiB  2.0 GiB  0    -",
        "",
        "endpoint     first 192.0.2.1:6443: answers on 1 of 1 node",
        "dns          answers on 1 of 2 nodes",
        "addons       coredns 2/2, bridge",
        "certificates the first to end is apiserver on cp1, in 364 days; of authorities is ca on cp1, in 3649 days",
        "versions     kubelet 1.36.3",
    ]


def test_what_is_amiss_comes_first_with_what_mends_it() -> None:
    problem = Problem(
        kind="node-not-ready",
        severity=Severity.ERROR,
        where="w1",
        message="is not Ready: no network\nand more",
        remedy="kubeforge apply --limit w1",
    )
    lines = as_text(replace(GOOD, problems=(problem,))).splitlines()
    assert lines[:3] == [
        "Cluster demo, Kubernetes v1.36.3: something is amiss",
        "  !! w1: is not Ready: no network  (node-not-ready)",
        "       next: kubeforge apply --limit w1",
    ]


def test_nobody_answers() -> None:
    hosts = tuple(HostStatus(name=one.name, roles=one.roles, reachable=False, problem="x") for one in GOOD.hosts)
    silent = ClusterStatus(
        cluster="demo",
        asked=NOW,
        kubernetes=Kubernetes(wanted="1.36.3", problem="cp1: no answer"),
        hosts=hosts,
        nodes=(Node(name="cp1"), Node(name="w1")),
        components=(Component(host="cp1", component="kube-apiserver", problem="its host cannot be asked"),),
        etcd=Etcd(members=(Member(host="cp1", problem="its host cannot be asked"),)),
    )
    text = as_text(silent)
    assert text.startswith("Cluster demo: no control plane can be entered\n")
    assert "w1    worker              ?      -        -        unreachable  -" in text
    assert "certificates none could be read" in text


def test_of_many_nodes_the_odd_ones_are_shown() -> None:
    many = tuple(replace(GOOD.nodes[1], name=f"w{number}") for number in range(100))
    odd = Node(
        name="w100", in_inventory=False, registered=True, ready=True, schedulable=False, pressure=("DiskPressure",)
    )
    text = as_text(replace(GOOD, nodes=(*many, odd)))
    assert "w100  worker" in text
    assert "DiskPressure, cordoned, not in hosts.yml" in text
    assert "\n… and 100 of which nothing is to be said (-v shows them)\n" in text
    assert "w7 " not in text
    assert "w7 " in as_text(replace(GOOD, nodes=(*many, odd)), everything=True)


def test_everything() -> None:
    lines = as_text(GOOD, everything=True).splitlines()
    assert "CERTIFICATE  HOST  DAYS LEFT  EXPIRES     FILE" in lines
    assert "apiserver    cp1   364        2026-11-21  /pki/apiserver.crt" in lines
    assert "kubelet    1.36.3   cp1, w1" in lines
