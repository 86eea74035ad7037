"""Five control planes behind balancers on two hosts that are nothing else: birth, and any two hosts of a kind die.

The tests follow one another on one cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.lab.record import virtual_address
from tests.e2e.conftest import wait_until
from tests.e2e.ha.client import SOME
from tests.e2e.ha.conftest import LONGEST, QUICK, Ha, made, spec_of
from tests.e2e.test_reset import difference

pytestmark = pytest.mark.lab

BALANCERS = ["lb1", "lb2"]
UNITS = "kubeforge-haproxy kubeforge-keepalived"
SNAPSHOT = (Path(__file__).parents[1] / "snapshot.sh").read_text()


@pytest.fixture(scope="module")
def five() -> Iterator[Ha]:
    """Bare hosts: five control planes, two balancers, no worker."""
    with made("five", control_planes=5, workers=0, load_balancers=2) as forge:
        spec_of(forge, addons={})
        yield forge


@pytest.fixture(scope="module")
def bare(five: Ha) -> dict[str, list[str]]:
    """What the balancers' hosts are made of before anything was done."""
    return {name: snapshot(five, name) for name in BALANCERS}


def snapshot(five: Ha, name: str) -> list[str]:
    return sorted(set(five.sh(name, SNAPSHOT).splitlines()))


def server(five: Ha) -> str:
    return f"https://{virtual_address(five.lab.record.number)}:6443"


def holders(five: Ha, *names: str) -> list[str]:
    """Return which of these hosts have the balancers' address."""
    address = virtual_address(five.lab.record.number)
    return [name for name in names if f" {address}/" in five.sh(name, "ip -4 -o address show dev eth0")]


def test_birth(five: Ha, bare: dict[str, list[str]]) -> None:
    five.apply().check(0)
    five.until_good()
    five.ready()
    members = five.etcdctl("cp2", "member", "list")["members"]
    assert sorted(one["name"] for one in members) == five.planes == ["cp1", "cp2", "cp3", "cp4", "cp5"]
    assert not [one for one in members if one.get("isLearner")]
    etcd = json.loads(five.run("status", "-o", "json").check(0).out)["etcd"]
    assert (etcd["quorum"], etcd["needed"]) == (True, 3)
    five.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_balancers_are_nothing_else_and_everybody_goes_through_them(five: Ha, bare: dict[str, list[str]]) -> None:
    for name in BALANCERS:
        assert five.sh(name, f"systemctl is-active {UNITS}").split() == ["active", "active"]
        come = [line for line in difference(bare[name], snapshot(five, name)) if line.startswith("+ ")]
        assert not [line for line in come if "kubelet" in line or "containerd" in line or "/etc/kubernetes" in line]
    assert len(holders(five, *BALANCERS)) == 1
    assert holders(five, *five.planes) == []
    assert (
        f"server: {server(five)}" in five.get("configmap", "-n", "kube-system", "kube-proxy")["data"]["kubeconfig.conf"]
    )
    for name in five.planes:
        assert f"server: {server(five)}" in five.sh(name, "cat /etc/kubernetes/admin.conf")
        assert "gone" in five.sh(name, "[ -e /etc/systemd/system/kubeforge-haproxy.service ] || echo gone")
    assert f"server: {server(five)}" in five.run("kubeconfig").check(0).out


def test_the_balancer_with_the_address_dies(five: Ha) -> None:
    (victim,) = holders(five, *BALANCERS)
    (other,) = {*BALANCERS} - {victim}
    with five.client("cp5", server(five)) as watched:
        five.lab.host(victim).kill()
        wait_until(lambda: holders(five, other), seconds=10)
        watched.answered()
    record = watched.record
    print(f"\n{victim} had the address\n{record.told()}")
    for loop in record.loops:
        assert record.gap(loop) < LONGEST, record.told()
    assert "see that it is up" in five.until_named("host-unreachable", victim)
    five.lab.host(victim).start()
    five.until_good()
    assert holders(five, *BALANCERS) == [other], "an address that works stays where it is"
    assert set(record.acknowledged) <= five.written()


def test_a_balancer_that_stopped_is_named_and_started_as_it_says(five: Ha) -> None:
    (holder,) = holders(five, *BALANCERS)
    (other,) = {*BALANCERS} - {holder}
    with five.client("cp5", server(five)) as watched:
        five.sh(holder, "systemctl stop kubeforge-haproxy")
        wait_until(lambda: holders(five, other), seconds=10)
        watched.answered()
    for loop in watched.record.loops:
        assert watched.record.gap(loop) < LONGEST, watched.record.told()
    remedy = five.until_named("balancer-down", holder)
    assert remedy.startswith(f"kubeforge apply --limit {holder};")
    five.apply("--limit", holder).check(0)
    five.until_good()


def test_a_balancer_leaves_and_comes_back(five: Ha, bare: dict[str, list[str]]) -> None:
    five.run("reset", "--yes", "--limit", "lb2").check(0)
    assert difference(bare["lb2"], snapshot(five, "lb2")) == []
    wait_until(lambda: holders(five, "lb1"), seconds=10)
    five.apply().check(0)
    five.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_two_control_planes_die_and_three_go_on(five: Ha) -> None:
    """etcd's leader among them. All is degraded and nothing is lost: three of five members are a quorum."""
    leader = five.leader()
    second = next(name for name in five.planes if name != leader)
    asker = next(name for name in five.planes if name not in (leader, second))
    with five.client(asker, server(five)) as watched:
        for name in (leader, second):
            five.lab.host(name).kill()
        wait_until(lambda: both_down(five, leader, second), seconds=10)
        watched.answered()
    record = watched.record
    print(f"\n{leader}, which led, and {second}\n{record.told()}")
    for loop in record.loops:
        assert record.gap(loop) < LONGEST, record.told()
    assert len(record.acknowledged) > SOME, record.told()

    told = json.loads(five.run("status", "-o", "json", *QUICK).check(1).out)
    named = {(one["kind"], one["where"]): one["remedy"] for one in told["problems"]}
    for name in (leader, second):
        assert f"kubeforge ssh {name}" in named["host-unreachable", name]
    assert (told["verdict"], told["etcd"]["quorum"], told["etcd"]["needed"]) == ("degraded", True, 3)
    assert sum(bool(one["answers"]) for one in told["etcd"]["members"]) == 3

    for name in (leader, second):
        five.lab.host(name).start()
    five.until_good(90)
    health = five.etcdctl(leader, "endpoint", "health", "--cluster")
    assert [one["health"] for one in health] == [True] * 5
    assert set(record.acknowledged) <= five.written()


def both_down(five: Ha, *dead: str) -> bool:
    """Whether the balancer that has the address knows of all of them."""
    (holder,) = holders(five, *BALANCERS)
    journal = five.sh(holder, "journalctl -u kubeforge-haproxy -o cat --no-pager -n 20")
    return all(f"api/{name} is DOWN" in journal for name in dead)
