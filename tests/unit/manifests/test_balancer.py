from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.documents import dump
from kubeforge.manifests import balancer

Make = Callable[..., Any]
VIRTUAL = {"endpoint": {"kind": "haproxy", "address": "192.0.2.9"}}


def test_goldens_of_a_balancer_on_every_worker(sample: Make, golden: Callable[[str, str], None]) -> None:
    cluster = sample(control_planes=3)
    golden("balancer/localhost/haproxy.cfg", balancer.haproxy_config(cluster.spec, cluster.inventory))
    golden("balancer/localhost/haproxy.service", balancer.haproxy_unit(cluster.spec, cluster.inventory))


def test_goldens_of_an_address_that_moves(sample: Make, golden: Callable[[str, str], None]) -> None:
    cluster = sample(control_planes=3, load_balancers=2, **VIRTUAL)
    spec, inventory = cluster.spec, cluster.inventory
    golden("balancer/haproxy/haproxy.cfg", balancer.haproxy_config(spec, inventory))
    second = inventory.load_balancers[1]
    golden("balancer/haproxy/keepalived.conf", balancer.keepalived_config(spec, inventory, second, interface="eth0"))
    golden("balancer/haproxy/keepalived.service", balancer.keepalived_unit())


def test_golden_of_kube_vip(sample: Make, golden: Callable[[str, str], None]) -> None:
    cluster = sample(control_planes=3, endpoint={"kind": "kube-vip", "address": "192.0.2.9"})
    golden("balancer/kube-vip.yaml", dump(balancer.kube_vip(cluster.spec, cluster.inventory, interface="eth0")))


def test_root_is_needed_for_low_ports_only(sample: Make) -> None:
    for port, needs in ((443, "AmbientCapabilities=CAP_NET_BIND_SERVICE\n"), (8443, "AmbientCapabilities=\n")):
        cluster = sample(control_planes=3, endpoint={"kind": "haproxy", "address": "192.0.2.9", "port": port})
        assert needs in balancer.haproxy_unit(cluster.spec, cluster.inventory)


@pytest.mark.parametrize(
    ("sizes", "address", "shared"),
    [
        ({"control_planes": 3}, "192.0.2.9", True),
        ({"control_planes": 3, "load_balancers": 2}, "192.0.2.9", True),
        ({"control_planes": 3, "load_balancers": 1}, "192.0.2.9", True),
        ({"control_planes": 3, "load_balancers": 1}, "192.0.2.31", False),
    ],
)
def test_the_address_of_the_only_balancer_moves_nowhere(
    sample: Make, sizes: dict[str, int], address: str, *, shared: bool
) -> None:
    cluster = sample(**sizes, endpoint={"kind": "haproxy", "address": address})
    assert balancer.shares_address(cluster.spec, cluster.inventory) is shared


def test_each_balancer_tells_all_others_and_never_itself(sample: Make) -> None:
    cluster = sample(control_planes=3, **VIRTUAL)
    texts = [
        balancer.keepalived_config(cluster.spec, cluster.inventory, host, interface="ens3")
        for host in cluster.inventory.control_planes
    ]
    peers = [text.partition("unicast_peer {")[2].partition("}")[0].split() for text in texts]
    assert peers == [["192.0.2.12", "192.0.2.13"], ["192.0.2.11", "192.0.2.13"], ["192.0.2.11", "192.0.2.12"]]
    assert len({text.partition("priority ")[2].partition("\n")[0] for text in texts}) == 3
