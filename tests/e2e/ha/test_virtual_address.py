"""The endpoint becomes an address that moves between the control planes, and then a balancer on the worker again.

Follows `test_balancers` on the same cluster.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import LONGEST, Ha, spec_of

pytestmark = pytest.mark.lab

PORT = 8443
UNITS = "kubeforge-haproxy kubeforge-keepalived"


def virtual(ha: Ha) -> str:
    """Return an address of the lab's network that no host has."""
    return ha.lab.host("cp1").address.rpartition(".")[0] + ".240"


def holders(ha: Ha) -> list[str]:
    """Return the hosts that have the address now."""
    return [name for name in ha.planes if f" {virtual(ha)}/" in ha.sh(name, "ip -4 -o address show dev eth0")]


def restarts(ha: Ha) -> dict[str, Any]:
    pods = ha.get("pods", "-n", "kube-system", "-l", "component=kube-apiserver")["items"]
    return {one["metadata"]["name"]: one["status"]["containerStatuses"][0]["restartCount"] for one in pods}


def test_an_endpoint_for_another_without_an_outage(ha: Ha) -> None:
    before = restarts(ha)
    spec_of(ha, endpoint={"kind": "haproxy", "address": virtual(ha)})
    with ha.client("w1", f"https://{ha.lab.host('cp2').address}:6443") as watched:
        ha.apply().check(0)
    assert not watched.record.cut_off(), watched.record.told()
    ha.ready()
    ha.run("plan", "--detailed-exitcode").check(0, "No changes.")
    assert restarts(ha) == before, "names in a certificate need no restart"


def test_everybody_uses_the_new_one_and_nothing_is_left_of_the_old(ha: Ha) -> None:
    server = f"server: https://{virtual(ha)}:{PORT}"
    assert server in ha.sh("w1", "cat /etc/kubernetes/kubelet.conf")
    assert server in ha.get("configmap", "-n", "kube-system", "kube-proxy")["data"]["kubeconfig.conf"]
    assert server in ha.sh("cp2", "cat /etc/kubernetes/admin.conf")
    assert server in ha.run("kubeconfig").check(0).out
    assert "inactive" in ha.sh("w1", "systemctl is-active kubeforge-haproxy || :")
    assert "gone" in ha.sh("w1", "[ -e /etc/systemd/system/kubeforge-haproxy.service ] || echo gone")


def test_one_host_has_the_address(ha: Ha) -> None:
    assert len(holders(ha)) == 1
    for name in ha.planes:
        assert ha.sh(name, f"systemctl is-active {UNITS}").split() == ["active", "active"]


def test_the_host_with_the_address_dies(ha: Ha) -> None:
    (victim,) = holders(ha)
    with ha.client("w1", f"https://{virtual(ha)}:{PORT}") as watched:
        ha.lab.host(victim).kill()
        wait_until(lambda: len(holders_but(ha, victim)) == 1, seconds=10)
        watched.answered()
    record = watched.record
    print(f"\n{victim} had the address\n{record.told()}")
    for loop in record.loops:
        assert record.gap(loop) < LONGEST, record.told()
    ha.lab.host(victim).start()
    ha.until_good()
    assert victim not in holders(ha), "an address that works stays where it is"
    assert set(record.acknowledged) <= ha.written()


def holders_but(ha: Ha, dead: str) -> list[str]:
    others = [name for name in ha.planes if name != dead]
    return [name for name in others if f" {virtual(ha)}/" in ha.sh(name, "ip -4 -o address show dev eth0")]


def test_a_balancer_that_ends_gives_the_address_away(ha: Ha) -> None:
    (holder,) = holders(ha)
    with ha.client("w1", f"https://{virtual(ha)}:{PORT}") as watched:
        ha.sh(holder, "systemctl stop kubeforge-haproxy")
        wait_until(lambda: len(holders_but(ha, holder)) == 1, seconds=10)
        watched.answered()
    ha.sh(holder, "systemctl start kubeforge-haproxy")
    print(f"\nhaproxy on {holder}\n{watched.record.told()}")
    for loop in watched.record.loops:
        assert watched.record.gap(loop) < LONGEST, watched.record.told()


def test_and_back_again(ha: Ha) -> None:
    spec_of(ha, endpoint={"kind": "localhost"})
    with ha.client("w1", f"https://{ha.lab.host('cp2').address}:6443") as watched:
        ha.apply().check(0)
    assert not watched.record.cut_off(), watched.record.told()
    ha.run("plan", "--detailed-exitcode").check(0, "No changes.")
    assert holders(ha) == []
    for name in ha.planes:
        assert ha.sh(name, f"systemctl is-active {UNITS} || :").split() == ["inactive", "inactive"]
    assert "server: https://127.0.0.1:6443" in ha.sh("w1", "cat /etc/kubernetes/kubelet.conf")
