from __future__ import annotations

from dataclasses import replace

from kubeforge.cluster.status import CertificateStatus, ClusterStatus, ComponentStatus, EtcdStatus, NodeStatus
from kubeforge.report.status import as_text

GOOD = ClusterStatus(
    api="v1.36.3",
    nodes=(
        NodeStatus(name="cp1", roles=("control-plane",), ready=True, version="v1.36.3", address="192.0.2.1"),
        NodeStatus(name="w1", ready=True, version="v1.36.3", address="192.0.2.2"),
    ),
    components=(
        ComponentStatus(host="cp1", component="etcd", ready=True, version="3.6.16-0", restarts=0),
        ComponentStatus(host="cp1", component="kube-apiserver", ready=True, version="v1.36.3", restarts=0),
    ),
    etcd=(EtcdStatus(host="cp1"),),
    certificates=(CertificateStatus(host="cp1", name="apiserver", days=364),),
)


def test_all_is_well() -> None:
    assert as_text(GOOD, "demo").splitlines() == [
        "Cluster demo, Kubernetes v1.36.3: all is well",
        "  ok  node cp1  control-plane  v1.36.3  192.0.2.1",
        "  ok  node w1   worker  v1.36.3  192.0.2.2",
        "  etcd members: 1 of 1 healthy",
        "  etcd 3.6.16-0: 1 ready",
        "  kube-apiserver v1.36.3: 1 ready",
        "  certificates: the first to end is apiserver on cp1, in 364 days",
    ]


def test_what_is_amiss_is_named() -> None:
    status = replace(
        GOOD,
        nodes=(GOOD.nodes[0], NodeStatus(name="w1", problem="is not registered")),
        components=(replace(GOOD.components[0], ready=False),),
        etcd=(EtcdStatus(host="cp1", problem="does not answer\n  next: look"),),
        unreachable={"cp2": "no route to host"},
    )
    lines = as_text(status, "demo").splitlines()
    assert lines[0] == "Cluster demo, Kubernetes v1.36.3: something is amiss"
    assert [line for line in lines if "!!" in line] == [
        "  !!  host cp2  cannot be asked: no route to host",
        "  !!  node w1  is not registered",
        "  !!  etcd cp1  does not answer",
        "  !!  pod etcd on cp1  is not ready",
    ]


def test_no_api() -> None:
    status = ClusterStatus(
        problem="no control plane leads to the API", nodes=(NodeStatus(name="w1", problem="not known"),)
    )
    assert as_text(status, "demo").splitlines() == [
        "Cluster demo: no API answers: no control plane leads to the API",
        "  !!  node w1  not known",
    ]
