"""Hosts that were powered off, and hosts that come back with other addresses: one apply, and nothing is lost.

Each shape has a lab of its own, and its tests go in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import Ha, made

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SHAPES: dict[str, dict[str, Any]] = {
    "single": {"control_planes": 1, "workers": 1},
    "stacked": {"control_planes": 3, "workers": 2},
    "external": {"control_planes": 1, "etcd": 3, "workers": 1},
}
DAEMON = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: hello, namespace: default}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec: {containers: [{name: hello, image: "registry.k8s.io/pause:3.10.2"}]}
"""


@pytest.fixture(scope="module", params=SHAPES)
def forge(request: pytest.FixtureRequest) -> Iterator[Ha]:
    """A cluster that lives, with objects of its own."""
    with made(f"addr-{request.param}", **SHAPES[request.param]) as cluster:
        cluster.apply().check(0)
        cluster.until_good()
        cluster.kubectl("apply", "-f", "-", stdin=DAEMON)
        for number in range(20):
            cluster.kubectl("create", "configmap", f"kept-{number}", "--from-literal=a=1")
        yield cluster


def keeps_all(forge: Ha) -> bool:
    names = {one["metadata"]["name"] for one in forge.get("configmaps", "-n", "default")["items"]}
    return {f"kept-{number}" for number in range(20)} <= names


def members(forge: Ha) -> dict[str, tuple[int, str]]:
    """Return id and peer URL of etcd's members."""
    role = "etcd" if forge.lab.record.shape.etcd else "cp"
    first = next(host.name for host in forge.lab.hosts if host.role == role)
    listed = forge.etcdctl(first, "member", "list")["members"]
    return {one["name"]: (one["ID"], one["peerURLs"][0]) for one in listed}


def each(forge: Ha, verb: str) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: getattr(host, verb)(), forge.lab.hosts))


def mended(forge: Ha, *moved: str, old: dict[str, str]) -> None:
    """One apply; then everything is at the new addresses, and a second apply has nothing to do."""
    before = {name: number for name, (number, _) in known.items()} if (known := KNOWN.get(forge.lab.name)) else {}
    plan = forge.run("plan").check(0)
    for name in moved:
        assert f"{old[name]} -> {forge.lab.host(name).address}; what follows" in " ".join(plan.out.split()), plan.text
    forge.apply().check(0)
    forge.until_good(seconds=120)
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")
    assert keeps_all(forge)
    now = members(forge)
    for name, (number, url) in now.items():
        assert url == f"https://{forge.lab.host(name).address}:2380"
        assert before.get(name, number) == number, "it is the same member"
    stale(forge, [old[name] for name in moved])


KNOWN: dict[str, dict[str, tuple[int, str]]] = {}


def stale(forge: Ha, old: list[str]) -> None:
    """Nothing says an old address any more, unless another host has it now: nodes, pods, files."""
    former = sorted({*old} - {*addresses(forge).values()})
    for node in forge.get("nodes")["items"]:
        told = {one["address"] for one in node["status"]["addresses"]}
        assert not told & set(former), node["metadata"]["name"]
    pods: list[Any] = [pod for pod in forge.get("pods", "-A")["items"] if pod["spec"].get("hostNetwork")]
    owned = [pod for pod in pods if "kubernetes.io/config.mirror" not in pod["metadata"].get("annotations", {})]
    assert not [pod["metadata"]["name"] for pod in owned if pod["status"].get("podIP") in former]
    words = " ".join(["-e 'no address'", *(f"-e '{address}[^0-9]'" for address in former)])
    for host in forge.lab.hosts:
        files = "/etc/kubernetes/*.conf /etc/kubernetes/manifests /var/lib/kubelet/kubeadm-flags.env /etc/kubeforge"
        found = forge.sh(host.name, f"grep -rlE {words} {files} /etc/systemd/system/etcd.service 2>/dev/null || true")
        assert found == "", host.name
        assert forge.sh(host.name, "ls /var/lib/kubeforge/moved-from 2>/dev/null || true") == ""
        assert "arp_ignore = 0" in forge.sh(host.name, "sysctl net.ipv4.conf.all.arp_ignore")


def addresses(forge: Ha) -> dict[str, str]:
    return {host.name: host.address for host in forge.lab.hosts}


def test_powered_off_hard_and_on_again(forge: Ha) -> None:
    """Ready without anybody's help; and apply has nothing to do."""
    each(forge, "kill")
    each(forge, "start")
    forge.until_good(seconds=240)
    assert keeps_all(forge)
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_powered_off_and_on_and_apply_at_once(forge: Ha) -> None:
    """Nobody has to wait until the hosts have found themselves."""
    each(forge, "kill")
    each(forge, "start")
    forge.apply().check(0)
    forge.until_good(seconds=120)
    assert keeps_all(forge)


def test_one_host_gets_another_address_while_it_runs(forge: Ha) -> None:
    KNOWN[forge.lab.name] = members(forge)
    old, last = addresses(forge), forge.lab.hosts[-1].name
    first = next(host.name for host in forge.lab.hosts if host.role == "cp")
    for name in (first, last):
        forge.lab.readdress(name)
    mended(forge, first, last, old=old)


def test_all_hosts_come_back_with_other_addresses(forge: Ha) -> None:
    """As after a power cut, with a DHCP server that has forgotten everybody."""
    KNOWN[forge.lab.name] = members(forge)
    old = addresses(forge)
    each(forge, "kill")
    for name in old:
        forge.lab.readdress(name)
    each(forge, "start")
    mended(forge, *old, old=old)


def test_all_hosts_get_other_addresses_while_they_run(forge: Ha) -> None:
    KNOWN[forge.lab.name] = members(forge)
    old = addresses(forge)
    for name in old:
        forge.lab.readdress(name)
    mended(forge, *old, old=old)


def test_members_take_one_anothers_addresses(forge: Ha) -> None:
    names = list(members(forge))
    if len(names) < 3:
        pytest.skip("fewer than three members")
    KNOWN[forge.lab.name] = members(forge)
    old = addresses(forge)
    each(forge, "kill")
    free = forge.lab.readdress(names[0])  # out of the way, so that the others can move up
    forge.lab.readdress(names[1], old[names[0]])
    forge.lab.readdress(names[2], old[names[1]])
    forge.lab.readdress(names[0], old[names[2]])
    assert free not in addresses(forge).values()
    each(forge, "start")
    plan = forge.run("plan").check(0, "peer URLs follow")
    assert f"{names[1]} {old[names[1]]} -> {old[names[0]]}" in " ".join(plan.out.split())
    forge.apply().check(0)
    forge.until_good(seconds=120)
    assert keeps_all(forge)
    assert {name: number for name, (number, _) in members(forge).items()} == {
        name: number for name, (number, _) in KNOWN[forge.lab.name].items()
    }


def test_killed_while_addresses_follow(forge: Ha) -> None:
    """Whatever was done by then, the next apply goes on: the old addresses are noted on the hosts."""
    old = addresses(forge)
    for name in old:
        forge.lab.readdress(name)
    with forge.started() as run:
        run.until(lambda: any("etcd.addresses" in json.dumps(event) for event in run.events))
        run.child.kill()
    KNOWN.pop(forge.lab.name, None)
    forge.apply().check(0)
    forge.until_good(seconds=120)
    assert keeps_all(forge)
    stale(forge, list(old.values()))
    wait_until(lambda: forge.run("plan", "--detailed-exitcode").code == 0)


def test_everything_was_stopped_by_hand(forge: Ha) -> None:
    """Units ended, containers too, the hosts up: apply starts all of it, also members that never serve alone."""
    units = "kubelet etcd kubeforge-haproxy kubeforge-keepalived containerd"
    kill = "; ".join(f"pkill -KILL -x {name} || :" for name in ("containerd-shim", "etcd", "kube-apiserver"))
    for host in forge.lab.hosts:
        forge.sh(
            host.name, f"systemctl stop {units} 2>/dev/null || true; systemctl disable kubelet etcd 2>/dev/null || true"
        )
        forge.sh(host.name, kill)
    forge.apply().check(0)
    forge.until_good(seconds=180)
    assert keeps_all(forge)
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")
