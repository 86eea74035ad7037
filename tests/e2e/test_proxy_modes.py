"""The other way to carry pods and Services: bridge CNI with host routes, kube-proxy by nftables.

That traffic flows is proved by `test_network`, which runs on this cluster too; here is, that it flows this way.
"""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.conftest import BRIDGE, MAIN, Cluster

pytestmark = pytest.mark.clusters(BRIDGE)


def test_services_are_in_nftables(cluster: Cluster) -> None:
    text = cluster.get("-n", "kube-system", "configmap", "kube-proxy")["data"]["config.conf"]
    assert yaml.safe_load(text)["mode"] == "nftables"
    for name in cluster.names:
        rules = cluster.sh(name, "nft list table ip kube-proxy")
        assert "10.96.0.10" in rules, name
        assert "KUBE-SVC" not in cluster.sh(name, "nft list ruleset"), f"{name} has iptables' chains, too"


@pytest.mark.clusters(MAIN)
def test_services_are_in_iptables(cluster: Cluster) -> None:
    for name in cluster.names:
        assert "KUBE-SERVICES" in cluster.sh(name, "nft list ruleset"), name
        assert "kube-proxy" not in cluster.sh(name, "nft list tables"), name


def test_every_node_has_a_route_to_the_pods_of_the_others(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in cluster.get("nodes")["items"]}
    for name in cluster.names:
        routes = cluster.sh(name, "ip -4 route show")
        for other, pods in nodes.items():
            if other != name:
                assert f"{pods} via {cluster.address(other)} dev eth0" in routes, name


def test_no_overlay_is_left(cluster: Cluster) -> None:
    for name in cluster.names:
        assert not cluster.host(name).interface("flannel.1").exists, name
    assert not any("flannel" in pod["metadata"]["name"] for pod in cluster.get("pods", "-A")["items"])
