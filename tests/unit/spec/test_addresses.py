from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubeforge.inventory.model import Host, Inventory
from kubeforge.spec.addresses import api_endpoint, balancer_hosts, dns_ip, host_port, inner_endpoint, service_ip
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.nodes import CONTROL_PLANE_TAINT, node_labels, node_taints, runs_workloads

CP, NODE = "kube_control_plane", "kube_node"


def spec(**fields: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"name": "demo", "kubernetes": "1.36.3", **fields})


def test_service_addresses() -> None:
    assert (service_ip(spec(), 1), dns_ip(spec())) == ("10.96.0.1", "10.96.0.10")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({}, "192.0.2.11:6443"),
        ({"kind": "localhost"}, "192.0.2.11:6443"),
        ({"kind": "external", "address": "api.example", "port": 443}, "api.example:443"),
    ],
)
def test_endpoint(usual_inventory: Callable[..., Inventory], endpoint: dict[str, object], expected: str) -> None:
    assert api_endpoint(spec(endpoint=endpoint), usual_inventory(3)) == expected


@pytest.mark.parametrize(
    ("endpoint", "balancers", "expected"),
    [
        ({}, 0, ("192.0.2.11:6443", "127.0.0.1:6443", ["w1"])),
        ({"kind": "first"}, 0, ("192.0.2.11:6443", "192.0.2.11:6443", [])),
        ({"kind": "kube-vip", "address": "192.0.2.9"}, 0, ("192.0.2.9:6443", "192.0.2.9:6443", [])),
        ({"kind": "external", "address": "a", "port": 1}, 0, ("a:1", "a:1", [])),
        ({"kind": "haproxy", "address": "192.0.2.9"}, 0, ("192.0.2.9:8443", "192.0.2.9:8443", ["cp1", "cp2", "cp3"])),
        ({"kind": "haproxy", "address": "192.0.2.9"}, 2, ("192.0.2.9:6443", "192.0.2.9:6443", ["lb1", "lb2"])),
    ],
)
def test_who_balances_and_where(
    sample: Callable[..., Any], endpoint: dict[str, object], balancers: int, expected: tuple[str, str, list[str]]
) -> None:
    cluster = sample(control_planes=3, workers=1, load_balancers=balancers, endpoint=endpoint)
    both = cluster.spec, cluster.inventory
    on = [host.name for host in balancer_hosts(*both)]
    assert (api_endpoint(*both), inner_endpoint(*both), on) == expected


def test_endpoint_that_cannot_be_told(
    usual_inventory: Callable[..., Inventory], make_inventory: Callable[[Sequence[Host]], Inventory]
) -> None:
    with pytest.raises(LookupError, match=r"endpoint\.kind external needs endpoint\.address"):
        api_endpoint(spec(endpoint={"kind": "external"}), usual_inventory())
    with pytest.raises(LookupError, match="no host in kube_control_plane"):
        api_endpoint(spec(endpoint={"kind": "first"}), make_inventory([]))


def test_brackets_for_ipv6() -> None:
    assert host_port("2001:db8::1", 6443) == "[2001:db8::1]:6443"


@pytest.mark.parametrize(
    ("groups", "workers", "nodes", "tainted"),
    [
        ([CP], 1, {}, True),
        ([CP], 0, {}, False),
        ([CP, NODE], 1, {}, False),
        ([CP], 1, {"cp1": {"taints": []}}, False),
        ([CP], 1, {CP: {"taints": []}}, False),
        ([CP], 1, {CP: {"taints": []}, "cp1": {"labels": {"a": "b"}}}, False),
        ([CP, NODE], 1, {"cp1": {"taints": [CONTROL_PLANE_TAINT.model_dump()]}}, True),
    ],
)
def test_control_plane_taint(
    make_host: Callable[..., Host],
    make_inventory: Callable[[Sequence[Host]], Inventory],
    groups: list[str],
    workers: int,
    nodes: dict[str, object],
    *,
    tainted: bool,
) -> None:
    plane = make_host("cp1", "192.0.2.11", *groups)
    others = [make_host(f"w{n}", f"192.0.2.{100 + n}", NODE) for n in range(workers)]
    inventory = make_inventory([plane, *others])
    assert node_taints(spec(nodes=nodes), inventory, plane) == ((CONTROL_PLANE_TAINT,) if tainted else ())
    assert runs_workloads(spec(nodes=nodes), inventory, plane) is not tainted


def test_host_wins_over_groups_and_groups_over_all(usual_inventory: Callable[..., Inventory]) -> None:
    inventory = usual_inventory()
    cluster = spec(
        nodes={
            "w1": {"labels": {"a": "host"}},
            NODE: {"labels": {"a": "group", "b": "group"}},
            "all": {"labels": {"a": "all", "b": "all", "c": "all"}},
        }
    )
    assert node_labels(cluster, inventory, inventory.hosts["w1"]) == {"a": "host", "b": "group", "c": "all"}
    assert node_labels(cluster, inventory, inventory.hosts["cp1"])["node-role.kubernetes.io/control-plane"] == ""
