"""Hosts of etcd alone come, die and leave: API servers and kubeadm-config follow, one control plane at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.nodes.conftest import Fleet, fleet
from tests.e2e.test_reset import difference

pytestmark = [pytest.mark.lab, pytest.mark.slow]

BASE = ("cp1", "w1")


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """Three of four hosts of etcd, a control plane and a worker."""
    with fleet("etcd-hosts", *BASE, "e1", "e2", "e3", control_planes=1, workers=1, etcd=4) as made:
        yield made


def servers(herd: Fleet) -> set[str]:
    """Return the hosts of etcd that the API server asks, by its manifest."""
    manifest = herd.sh("cp1", "cat /etc/kubernetes/manifests/kube-apiserver.yaml")
    addresses = {host.address: host.name for host in herd.lab.hosts if host.role == "etcd"}
    return {name for address, name in addresses.items() if f"https://{address}:2379" in manifest}


def named(herd: Fleet) -> set[str]:
    """Return the hosts of etcd that kubeadm-config names."""
    config = herd.get("configmap", "-n", "kube-system", "kubeadm-config")["data"]["ClusterConfiguration"]
    return {host.name for host in herd.lab.hosts if host.role == "etcd" and host.address in config}


def test_a_dead_member_is_replaced_by_another_host(herd: Fleet) -> None:
    herd.lab.host("e1").kill()
    herd.write(*BASE, "e1", "e2", "e3", "e4")
    with herd.wire() as wire:
        herd.run("node replace", "e1", "e4", "--dead", "--yes").check(0)
    assert herd.lab.host("e1").address not in wire.asked, wire.asked
    assert herd.members("e2") == dict.fromkeys(("e2", "e3", "e4"), True)
    assert servers(herd) == named(herd) == {"e2", "e3", "e4"}
    herd.write(*BASE, "e2", "e3", "e4")
    herd.whole()


def test_a_living_member_leaves_and_its_host_is_as_before(herd: Fleet) -> None:
    herd.run("node remove", "e4", "--yes").check(0, "none may fail")
    assert set(herd.members("e2")) == servers(herd) == named(herd) == {"e2", "e3"}
    assert difference(herd.before["e4"], herd.snapshot("e4")) == []
    herd.write(*BASE, "e2", "e3")
    herd.whole()


def test_a_member_joins(herd: Fleet) -> None:
    herd.write(*BASE, "e2", "e3", "e4")
    herd.run("plan").check(0, "e4 should be a member of etcd and is none")
    herd.run("node add", "e4", "--yes").check(0)
    assert herd.members("e2") == dict.fromkeys(("e2", "e3", "e4"), True)
    assert servers(herd) == {"e2", "e3", "e4"}
    assert set(herd.nodes()) == set(BASE), "it is no node"
    herd.whole()


def test_a_member_that_is_not_written_shows_in_the_plan(herd: Fleet) -> None:
    herd.write(*BASE, "e2", "e3")
    herd.run("plan").check(0, "member e4 of etcd is on no host that the inventory names for it")
    herd.lab.host("e4").kill()
    herd.run("node remove", "e4", "--dead", "--yes").check(0)
    assert set(herd.members("e2")) == {"e2", "e3"}
    herd.whole()
