"""What `status` counts: a component that is missing is amiss, like one that is not ready."""

from __future__ import annotations

from kubeforge.cluster.status import ClusterStatus, ComponentStatus, _components, _node
from tests.conftest import make_sample


def test_a_missing_component_is_not_ready() -> None:
    names = ("etcd", "kube-apiserver", "kube-controller-manager")
    found = [ComponentStatus(host="cp1", component=name, ready=True, version="v1", restarts=0) for name in names]
    listed = _components(make_sample().inventory, found)
    assert listed[:3] == tuple(found)
    assert [(one.host, one.component, one.ready) for one in listed[3:]] == [("cp1", "kube-scheduler", False)]


NODE = {
    "metadata": {"name": "w1"},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.36.3"},
        "addresses": [{"type": "InternalIP", "address": "192.0.2.21"}],
    },
}


def test_a_node_whose_serving_certificate_waits_is_amiss() -> None:
    good, known, stranger = (
        _node(NODE, {}, ["w1"]),
        _node(NODE, {"w1": "csr-7"}, ["w1"]),
        _node(NODE, {"w1": "csr-7"}, []),
    )
    assert (good.problem, good.ready) == ("", True)
    assert known.problem == "its serving certificate waits for approval: kubeforge apply approves it"
    assert "kubeforge kubectl certificate approve csr-7" in stranger.problem
    assert ClusterStatus(api="v1.36.3", nodes=(good,)).good
    assert not ClusterStatus(api="v1.36.3", nodes=(known,)).good


def test_a_node_that_is_not_ready_says_why_first() -> None:
    status = {"conditions": [{"type": "Ready", "status": "False", "message": "no network"}]}
    assert _node({**NODE, "status": status}, {"w1": "csr-7"}, ["w1"]).problem == "no network"
