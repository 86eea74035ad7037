"""The whole playbook of `node remove` planned over hosts in memory: who is asked, what is to do, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubeforge.inventory.membership import with_leaving
from kubeforge.pki import kubeconfigs
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.paths import (
    ADMIN_CONF,
    ETCD_WAL,
    HOSTS,
    KUBELET_CONF,
    KUBELET_SERVING_CURRENT,
    PKI,
    SUPER_ADMIN_CONF,
)
from kubeforge.tasks import nodes
from tests.unit.tasks.fleet import Fleet, steps
from tests.unit.tasks.test_tasks_upgrade import runs


def test_a_dead_worker_is_not_reached_and_others_only_forget_its_name(fleet: Fleet) -> None:
    fleet.made.hosts["w1"].unreachable = True
    found = steps(fleet.leaving("w1", dead=True))
    assert "w1" not in fleet.reached
    assert found["cp2"] == {f"file {HOSTS}", "node cp2"}, "without a worker, control planes lose their taint"
    assert {"cordon w1", "object Node w1"} <= found["cp1"]


def test_a_dead_worker_is_not_reached_while_it_is_removed_either(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "lacks_kubelet", lambda *_: None)
    for name in ("cp1", "cp2", "cp3"):
        fleet.made.hosts[name].put(KUBELET_SERVING_CURRENT, b"x")
    fleet.made.hosts["w1"].unreachable = True
    inventory = with_leaving(fleet.written, ["w1"], dead=True, known=list(fleet.written.hosts))
    with fleet.session("node-remove", inventory) as session:
        result = session.apply(session.plan())
    assert result.failures == ()
    assert result.exit_code == 0
    assert "w1" not in fleet.reached
    assert set(fleet.reached) == {"cp1", "cp2", "cp3"}
    assert ("v1", "Node", "", "w1") not in fleet.api.objects_
    assert b" w1" not in fleet.made.hosts["cp2"].file(HOSTS)
    assert fleet.leaving("w1", dead=True).steps == (), "the second run changes nothing"


def test_a_dead_worker_is_removed_while_a_control_plane_is_away(fleet: Fleet) -> None:
    fleet.made.hosts["cp2"].unreachable = True
    plan = fleet.leaving("w1", dead=True)
    assert {failure.host for failure in plan.failures} == {"cp2"}
    assert "object Node w1" in {change.title for step in plan.steps for change in step.changes}
    assert not fleet.blocked


def test_the_dead_first_control_plane_is_not_reached_and_its_role_goes_on(fleet: Fleet) -> None:
    fleet.etcd.down.add("cp1")
    fleet.made.hosts["cp1"].unreachable = True
    found = steps(fleet.leaving("cp1", dead=True))
    assert "cp1" not in fleet.reached
    assert {"etcd member cp1", "object Node cp1", f"file {SUPER_ADMIN_CONF}"} <= found["cp2"]
    assert "file /etc/kubeforge/haproxy.cfg" in found["w1"]
    assert {f"file {HOSTS}"} <= found["cp3"]
    assert any("object ConfigMap kube-system/kubeadm-config" in titles for titles in found.values())


def test_where_the_first_is_the_endpoint_workers_are_led_to_the_next(fleet: Fleet) -> None:
    fleet.kind = EndpointKind.FIRST
    ca = fleet.made.hosts["cp2"].file(f"{PKI}/ca.crt")
    first = f"{fleet.written.hosts['cp1'].address}:6443"
    led = kubeconfigs.kubelet(cluster="demo", server=first, ca=ca, node="w1")
    fleet.made.hosts["w1"].put(KUBELET_CONF, led, mode=0o600)
    found = steps(fleet.leaving("cp1", dead=True))
    assert "cp1" not in fleet.reached
    assert {f"file {KUBELET_CONF}", "unit kubelet.service"} <= found["w1"]
    assert f"file {ADMIN_CONF}" in found["cp3"], "it leads to the next first; that of cp2 did before"


@pytest.mark.parametrize("version", ["1.35.4", "1.36.2"])
def test_a_host_that_died_during_an_upgrade_goes_without_going_on_with_it(fleet: Fleet, version: str) -> None:
    runs(fleet.made, "cp3", version)
    found = steps(fleet.leaving("cp1", dead=True))
    assert "etcd member cp1" in found["cp2"]
    titles = {title for changes in found.values() for title in changes}
    assert not [title for title in titles if "ConfigMap" in title or "manifests/kube-" in title]
    assert any("and cluster.yml says 1.36.3: kubeadm-config" in said for said in fleet.said)


def test_a_living_control_plane_is_drained_and_reset(fleet: Fleet) -> None:
    found = steps(fleet.leaving("cp2"))
    assert {"cordon cp2", "unit kubelet.service"} <= found["cp2"]
    assert "etcd member cp2" in found["cp1"]
    assert "object Node cp2" in found["cp1"]
    assert ETCD_WAL in fleet.made.hosts["cp2"].state.paths


def test_the_quorum_is_told_before_anything_else(fleet: Fleet) -> None:
    fleet.etcd.down.add("cp3")
    plan = fleet.leaving("cp2")
    (failure,) = [one for one in plan.failures if one.step == "nodes.leave_etcd"]
    assert "3 members, 3 vote, 2 serve now" in failure.cause
    assert failure.exit_code == 12


def test_without_its_host_the_order_of_the_lock_is_kept(fleet: Fleet) -> None:
    alive = with_leaving(fleet.written, ["cp1"], known=list(fleet.written.hosts))
    assert alive.lock_order[0] == "cp1"
    assert replace(alive, lock_order=()).control_planes[0].name == "cp2"
