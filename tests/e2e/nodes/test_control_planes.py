"""Control planes leave and join while a client asks without rest; the dead first one, and a quorum that would go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import LONGEST, QUICK
from tests.e2e.ha.test_balancers import LOCAL
from tests.e2e.nodes.conftest import Fleet, fleet
from tests.e2e.test_reset import difference

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TRIO = ("cp1", "cp2", "cp3")


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """Three of four control planes, and a worker with its own balancer."""
    with fleet("planes", *TRIO, "w1", control_planes=4, workers=1) as made:
        yield made


def refused(herd: Fleet, code: int) -> None:
    """Fail unless the removal of cp3 is refused with the numbers, and nothing was begun."""
    said = herd.run("node remove", "cp3", "--yes", *QUICK)
    said.check(code, "3 members, 3 vote, 2 serve now; without cp3 2 are left, of which 2 must serve, and 1 does")
    assert set(herd.members("cp1")) == set(TRIO)
    assert not herd.get("node", "cp3")["spec"].get("unschedulable")


def test_a_control_plane_that_would_take_the_quorum_with_it_stays(herd: Fleet) -> None:
    # The API server, too: a kubelet waits for what that does not answer before it starts the etcd beside it (ADR 60).
    herd.sh("cp2", "systemctl stop kubelet; pkill -KILL -x etcd; pkill -KILL -x kube-apiserver")
    try:
        wait_until(lambda: not herd.is_good())
        refused(herd, 12)
    finally:
        herd.sh("cp2", "systemctl start kubelet")
    herd.until_good(90)
    herd.lab.host("cp2").kill()
    try:
        refused(herd, 11)
    finally:
        herd.lab.host("cp2").start()
    herd.until_good(90)


def test_the_dead_first_control_plane_is_replaced(herd: Fleet) -> None:
    """Asked all the while at the balancer of the worker; nobody sends the dead a frame."""
    herd.lab.host("cp1").kill()
    herd.write(*TRIO, "cp4", "w1")
    with herd.client("w1", LOCAL) as watched, herd.wire() as wire:
        herd.run("node replace", "cp1", "cp4", "--dead", "--yes").check(0)
        watched.answered()
    assert herd.lab.host("cp1").address not in wire.asked, wire.asked
    for loop in watched.record.loops:
        assert watched.record.gap(loop) < LONGEST, watched.record.told()
    assert herd.members("cp2") == dict.fromkeys(("cp2", "cp3", "cp4"), True)
    assert herd.nodes() == dict.fromkeys(("cp2", "cp3", "cp4", "w1"), True)
    told = herd.sh("w1", "cat /etc/hosts /etc/kubeforge/haproxy.cfg")
    assert "cp1" not in told
    assert "cp4" in told
    config = herd.get("configmap", "-n", "kube-system", "kubeadm-config")["data"]["ClusterConfiguration"]
    assert f"controlPlaneEndpoint: {herd.lab.host('cp2').address}:6443" in config
    assert herd.sh("cp2", "ls /etc/kubernetes/super-admin.conf").strip(), "it is the first now"
    herd.write("cp2", "cp3", "cp4", "w1")
    herd.whole()


def test_what_was_dead_comes_back_as_a_new_machine_under_its_name(herd: Fleet, tmp_path: Path) -> None:
    """Written first again, it becomes the first again; before, its old life is taken off it."""

    def alone(data: dict[str, Any]) -> None:
        planes = data["all"]["children"]["kube_control_plane"]
        data["all"]["children"] = {"kube_control_plane": {"hosts": {"cp1": planes["hosts"]["cp1"]}}}

    herd.lab.host("cp1").start()
    herd.write(*TRIO, "cp4", "w1")
    herd.with_hosts(tmp_path, alone).run("reset", "--yes").check(0)
    herd.run("node add", "cp1", "--yes").check(0)
    assert set(herd.members("cp2")) == {*TRIO, "cp4"}
    herd.whole()


def test_a_living_control_plane_leaves_and_its_host_is_as_before(herd: Fleet) -> None:
    with herd.client("w1", LOCAL) as watched:
        herd.run("node remove", "cp4", "--yes").check(0)
        watched.answered()
    for loop in watched.record.loops:
        assert watched.record.gap(loop) < LONGEST, watched.record.told()
    assert set(herd.members("cp1")) == set(TRIO)
    assert difference(herd.before["cp4"], herd.snapshot("cp4")) == []
    herd.write(*TRIO, "w1")
    herd.whole()


def test_the_living_first_control_plane_leaves(herd: Fleet) -> None:
    herd.run("node remove", "cp1", "--yes").check(0, "none may fail")
    assert herd.members("cp2") == dict.fromkeys(("cp2", "cp3"), True)
    herd.write("cp2", "cp3", "w1")
    herd.whole()


def test_down_to_one_and_up_again(herd: Fleet) -> None:
    """With one control plane the default endpoint is that one; the balancer of the worker goes, and comes back."""
    herd.run("node remove", "cp3", "--yes").check(0)
    herd.write("cp2", "w1")
    herd.whole()
    assert "inactive" in herd.sh("w1", "systemctl is-active kubeforge-haproxy || true")
    herd.write("cp2", "cp3", "w1")
    herd.run("node add", "cp3", "--yes").check(0)
    assert herd.members("cp2") == dict.fromkeys(("cp2", "cp3"), True)
    wait_until(lambda: herd.sh("w1", "systemctl is-active kubeforge-haproxy || true").strip() == "active")
    herd.whole()
