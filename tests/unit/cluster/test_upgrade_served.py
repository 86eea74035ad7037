"""What an API serves of its own, and whether an older one could read what is stored."""

from __future__ import annotations

from typing import Any

from kubeforge.cluster.upgrade import etcd_versions as versions
from kubeforge.cluster.upgrade.etcd_versions import EtcdVersions, etcd_versions
from kubeforge.cluster.upgrade.served import holding, served, unknown_before
from kubeforge.transport.memory import MemoryHost

BEFORE = ("v1/pods", "apps/v1/deployments", "x.k8s.io/v1alpha1/gone", "y.k8s.io/v1/both", "y.k8s.io/v1beta1/both")


class Discovery:
    """An API that says what it serves, and lists what is stored."""

    def __init__(self, **items: list[Any]) -> None:
        self.items = items
        self.asked: list[str] = []

    def objects(self, _version: str, kind: str) -> list[Any]:
        if kind == "CustomResourceDefinition":
            return [{"spec": {"group": "gateway.networking.k8s.io"}}]
        return [{"spec": {"group": "metrics.k8s.io", "service": {"name": "m"}}}, {"spec": {"group": "apps"}}]

    def json(self, path: str) -> Any:
        self.asked.append(path)
        if path == "/apis":
            names = ("apps", "gateway.networking.k8s.io", "metrics.k8s.io")
            return {"groups": [{"name": name, "versions": [{"groupVersion": f"{name}/v1"}]} for name in names]}
        if path.endswith("?limit=1"):
            return {"items": self.items.get(path.rsplit("/", maxsplit=1)[-1].partition("?")[0], [])}
        rows = {
            "/api/v1": [("pods", ["create", "list"]), ("pods/log", ["get"]), ("bindings", ["create"])],
            "/apis/apps/v1": [("deployments", ["create", "get", "list"])],
        }[path]
        return {"resources": [{"name": name, "verbs": verbs} for name, verbs in rows]}

    def each(self, calls: Any) -> list[Any]:
        return [call() for call in calls]


def test_what_is_listed_and_stored_counts_and_nothing_that_others_bring() -> None:
    assert served(Discovery()) == {"v1/pods", "apps/v1/deployments"}  # type: ignore[arg-type]  # a stand-in


def test_a_resource_is_known_by_any_version_that_both_serve() -> None:
    now = ("v1/pods", "apps/v1/deployments", "y.k8s.io/v1/both", "y.k8s.io/v2/both")
    assert unknown_before(BEFORE, now) == ()


def test_a_new_resource_and_one_without_a_common_version_are_not_known() -> None:
    now = ("v1/pods", "v1/new", "x.k8s.io/v1beta1/gone", "z.k8s.io/v1/a", "z.k8s.io/v1beta1/a")
    assert unknown_before(BEFORE, now) == ("v1/new", "x.k8s.io/v1beta1/gone", "z.k8s.io/v1beta1/a")


def test_one_object_is_enough() -> None:
    api = Discovery(new=[{"metadata": {}}])
    assert holding(api, ("v1/new", "z.k8s.io/v1/a")) == ("v1/new",)  # type: ignore[arg-type]  # a stand-in
    assert api.asked == ["/api/v1/new?limit=1", "/apis/z.k8s.io/v1/a?limit=1"]


METRICS = """# TYPE etcd_cluster_version gauge
etcd_cluster_version{cluster_version="3.5"} 0
etcd_cluster_version{cluster_version="3.6"} 1
etcd_server_version{server_version="3.6.16"} 1
"""


def test_a_member_tells_its_own_version_and_the_clusters(monkeypatch: Any) -> None:
    monkeypatch.setattr(versions, "get_plainly", lambda _opener, path: (200 if path == "/metrics" else 404, METRICS))
    assert etcd_versions(MemoryHost("cp1")) == EtcdVersions(server="3.6.16", cluster="3.6")
    monkeypatch.setattr(versions, "get_plainly", lambda *_: (0, "connection refused"))
    assert etcd_versions(MemoryHost("cp1")) == EtcdVersions()
