"""What `status` counts: a component that is missing is amiss, like one that is not ready."""

from __future__ import annotations

from kubeforge.cluster.status import ComponentStatus, _components
from tests.conftest import make_sample


def test_a_missing_component_is_not_ready() -> None:
    names = ("etcd", "kube-apiserver", "kube-controller-manager")
    found = [ComponentStatus(host="cp1", component=name, ready=True, version="v1", restarts=0) for name in names]
    listed = _components(make_sample().inventory, found)
    assert listed[:3] == tuple(found)
    assert [(one.host, one.component, one.ready) for one in listed[3:]] == [("cp1", "kube-scheduler", False)]
