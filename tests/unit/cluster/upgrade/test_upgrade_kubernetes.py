"""What the API is asked before an upgrade: old APIs in use, who wrote by them, budgets. Over an API in a dictionary."""

from __future__ import annotations

import json
from typing import Any

from kubeforge.cluster.upgrade.kubernetes import ask, requested
from kubeforge.cluster.upgrade.seen import NodeSeen, Requested, Written
from kubeforge.errors import ApiError, ApiUnavailable
from kubeforge.spec.retired_apis import RETIRED

NAME = "apiserver_requested_deprecated_apis"
METRICS = f"""# HELP {NAME} [STABLE] Gauge of deprecated APIs that have been requested
# TYPE {NAME} gauge
{NAME}{{group="networking.k8s.io",removed_release="1.37",resource="servicecidrs",subresource="",version="v1beta1"}} 1
{NAME}{{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"}} 1
{NAME}{{group="apps",removed_release="1.38",resource="deployments",subresource="scale",version="v1beta9"}} 1e+00
{NAME}{{group="gone",removed_release="1.36",resource="x",subresource="",version="v1"}} 0
apiserver_request_total{{group="apps"}} 12
"""
CIDRS = Requested(
    api_version="networking.k8s.io/v1beta1", resource="servicecidrs", removed="1.37", hosts=("cp1", "cp2")
)


class SmallApi:
    """Answers from dictionaries; counts what it was asked."""

    def __init__(self, **changes: Any) -> None:
        self.metrics: tuple[int, str] | ApiError = (200, METRICS)
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.groups: dict[str, list[str]] = {"networking.k8s.io": ["v1", "v1beta1"]}
        self.kinds: dict[str, list[dict[str, Any]]] = {}
        self.config: dict[str, Any] | None = None
        self.asked: list[str] = []
        self.closed = 0
        for name, value in changes.items():
            setattr(self, name, value)

    def close(self) -> None:
        self.closed += 1

    def text(self, path: str) -> tuple[int, str]:
        self.asked.append(path)
        if path == "/metrics":
            if isinstance(self.metrics, ApiError):
                raise self.metrics
            return self.metrics
        group = path.removeprefix("/apis/")
        if group not in self.groups:
            return 404, ""
        versions = [{"groupVersion": f"{group}/{one}"} for one in self.groups[group]]
        return 200, json.dumps({"versions": versions, "preferredVersion": versions[0]})

    def metadata_at(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(path)
        if path not in self.lists:
            raise ApiError("not found", status=404)
        return self.lists[path]

    def get(self, *_: str) -> dict[str, Any] | None:
        return self.config

    def objects(self, _version: str, kind: str, **_: Any) -> list[dict[str, Any]]:
        if kind == "PodDisruptionBudget" and kind not in self.kinds:
            raise ApiError("forbidden", status=403)
        return self.kinds.get(kind, [])


def asked(api: SmallApi, **servers: SmallApi) -> Any:
    return ask(api, {name: lambda one=one: one for name, one in servers.items()})  # type: ignore[arg-type, misc]


def test_every_server_is_asked_and_the_same_is_told_once() -> None:
    found = requested({"cp1": METRICS, "cp2": METRICS, "cp3": "nothing"})
    assert found == (
        Requested(api_version="apps/v1beta9", resource="deployments/scale", removed="1.38", hosts=("cp1", "cp2")),
        CIDRS,
    )


def test_who_wrote_by_a_version_that_goes() -> None:
    old = {"manager": "helm", "apiVersion": "networking.k8s.io/v1beta1"}
    new = {"manager": "kube-apiserver", "apiVersion": "networking.k8s.io/v1"}
    objects = [{"name": f"c{n}", "managedFields": [old, new]} for n in range(5)] + [{"name": "kubernetes"}]
    api = SmallApi(lists={"/apis/networking.k8s.io/v1/servicecidrs": objects})
    seen = asked(api)
    assert seen.written == (
        Written(
            api_version="networking.k8s.io/v1beta1",
            resource="servicecidrs",
            removed="1.37",
            objects=("c0", "c1", "c2"),
            count=5,
            managers=("helm",),
        ),
    )
    gone = {f"/apis/{row.group_version}/" for row in RETIRED}
    assert not [path for path in api.asked if any(path.startswith(one) for one in gone)], "that would count as its use"


def test_what_was_asked_for_is_looked_up_too() -> None:
    written = {"name": "a", "namespace": "web", "managedFields": [{"manager": "x", "apiVersion": "shop/v1beta1"}]}
    line = f'{NAME}{{group="shop",removed_release="1.36",resource="carts",subresource="",version="v1beta1"}} 1\n'
    api = SmallApi(groups={"shop": ["v1beta1", "v1"]}, lists={"/apis/shop/v1/carts": [written]})
    server = SmallApi(metrics=(200, line))
    seen = asked(api, cp1=server)
    assert [(one.resource, one.objects, one.managers) for one in seen.written] == [("carts", ("web/a",), ("x",))]
    assert (seen.requested[0].hosts, server.closed, api.closed) == (("cp1",), 1, 0)


def test_what_cannot_be_asked_is_named() -> None:
    silent = SmallApi(metrics=ApiUnavailable("no answer"))
    closed = SmallApi(metrics=(403, "no"))
    seen = asked(SmallApi(), cp1=silent, cp2=closed)
    assert seen.requested == ()
    assert seen.unasked == (
        "which old APIs the API server of cp1 was asked for: no answer",
        "which old APIs the API server of cp2 was asked for: /metrics answers 403",
        "PodDisruptionBudgets: forbidden",
    )


def test_nodes_budgets_and_what_kubeadm_recorded() -> None:
    budgets = [
        {"metadata": {"namespace": "web", "name": name}, "status": status}
        for name, status in {
            "tight": {"expectedPods": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1},
            "wide": {"expectedPods": 2, "disruptionsAllowed": 1},
            "empty": {"expectedPods": 0, "disruptionsAllowed": 0},
            "fresh": None,
        }.items()
    ]
    nodes = [
        {"metadata": {"name": "w1"}, "status": {"nodeInfo": {
            "kubeletVersion": "v1.35.4", "containerRuntimeVersion": "containerd://2.3.7+unknown"}}},
        {"metadata": {"name": "w2"}, "status": {"nodeInfo": {"containerRuntimeVersion": "cri-o://1.35.0"}}},
    ]  # fmt: skip
    text = "apiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.35.4\nnetworking: {}\n"
    api = SmallApi(
        kinds={"PodDisruptionBudget": budgets, "Node": nodes}, config={"data": {"ClusterConfiguration": text}}
    )
    seen = asked(api)
    assert [(one.name, one.healthy, one.desired) for one in seen.budgets] == [("tight", 1, 1)]
    assert seen.nodes == {"w1": NodeSeen(kubelet="1.35.4", runtime="2.3.7"), "w2": NodeSeen()}
    assert (seen.recorded, seen.unasked) == ("1.35.4", ())


def test_the_table_of_versions_that_go() -> None:
    assert [row.removed for row in RETIRED] == sorted((row.removed for row in RETIRED), key=lambda one: int(one[2:]))
    going = {row.group_version for row in RETIRED if row.removed == "1.37"}
    assert going == {"networking.k8s.io/v1beta1", "storage.k8s.io/v1beta1"}
    assert not [row for row in RETIRED if row.removed == "1.36"]
