"""The whole playbook of `node remove` planned over hosts in memory: who is asked, what is found to do, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge import resources, tasks
from kubeforge.cluster import access
from kubeforge.engine.plan import Plan
from kubeforge.engine.run import Session
from kubeforge.inventory.membership import with_leaving
from kubeforge.operations.model import Entry, Observation
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.paths import ETCD_WAL, HOSTS, KUBELET_CLIENT_CURRENT, SUPER_ADMIN_CONF
from kubeforge.tasks import addons, endpoint, kubelet, os, reset
from tests.unit.tasks.conftest import parts
from tests.unit.tasks.memory_api import FixedAccess, MemoryApi
from tests.unit.tasks.memory_etcd import MemoryEtcd

Make = Callable[..., Any]
PLANES = ("cp1", "cp2", "cp3")


class Fleet:
    """A cluster of three control planes and a worker that lives; sessions on it, and whom they reached."""

    def __init__(self, made: Any, api: MemoryApi) -> None:
        self.made, self.written = made, made.sample.inventory
        self.api = api
        self.reached: list[str] = []
        for name in self.written.hosts:
            made.apply(name, os.names)
        made.apply("w1", endpoint.balance)
        made.apply("w1", kubelet.configure)
        made.hosts["w1"].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o100600)}))
        made.begin()
        self.etcd = MemoryEtcd(
            {name: made.hosts[name] for name in PLANES}, {name: self.written.hosts[name].address for name in PLANES}
        )

    def remote(self, host: str) -> Any:
        self.reached.append(host)
        return self.made.hosts[host]

    def release(self, host: str) -> None:
        pass

    def close(self) -> None:
        pass

    def open_stream(self, host: str, command: str) -> Any:
        raise AssertionError(f"{host}: {command}")

    def plan(self, *names: str, dead: bool = False) -> Plan:
        inventory = with_leaving(self.written, names, dead=dead, known=list(self.written.hosts))
        spec = self.made.sample.spec
        self.reached.clear()
        with Session(
            inventory=inventory,
            playbook=resources.playbook("node-remove"),
            registry=tasks.load(),
            spec=spec.model_copy(update={"endpoint": spec.endpoint.model_copy(update={"kind": EndpointKind.LOCALHOST})}),
            artifacts=parts(self.made.sample.images),
            remotes=self,
            reader=lambda remote, reads, _: (self.made.sample.facts[remote.host], remote.observe(reads)),
            exclusive=False,
            record=False,
        ) as session:
            return session.plan()


def node(name: str) -> Any:
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {},
        "status": {"conditions": [ready], "nodeInfo": {"kubeletVersion": "v1.36.3"}},
    }


@pytest.fixture
def fleet(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = living_site(control_planes=3)
    api = MemoryApi()
    api.close = lambda: None  # type: ignore[attr-defined]
    for name in made.sample.inventory.hosts:
        api.objects_["v1", "Node", "", name] = node(name)
    monkeypatch.setattr(access, "Access", lambda: FixedAccess(api))
    monkeypatch.setattr(reset, "connect", lambda _turns: api)
    monkeypatch.setattr(addons, "refused_proxy_config", lambda *_: [])
    return Fleet(made, api)


def steps(plan: Plan) -> dict[str, set[str]]:
    """Return host -> titles of its changes."""
    assert plan.failures == (), [failure.cause for failure in plan.failures]
    found: dict[str, set[str]] = {}
    for step in plan.steps:
        found.setdefault(step.host, set()).update(change.title for change in step.changes)
    return found


def test_a_dead_worker_is_not_reached_and_others_only_forget_its_name(fleet: Fleet) -> None:
    fleet.made.hosts["w1"].unreachable = True
    found = steps(fleet.plan("w1", dead=True))
    assert "w1" not in fleet.reached
    assert found["cp2"] == {f"file {HOSTS}", "node cp2"}, "without a worker, control planes lose their taint"
    assert {"cordon w1", "object Node w1"} <= found["cp1"]


def test_the_dead_first_control_plane_is_not_reached_and_its_role_goes_on(fleet: Fleet) -> None:
    fleet.etcd.down.add("cp1")
    fleet.made.hosts["cp1"].unreachable = True
    found = steps(fleet.plan("cp1", dead=True))
    assert "cp1" not in fleet.reached
    assert {"etcd member cp1", "object Node cp1", f"file {SUPER_ADMIN_CONF}"} <= found["cp2"]
    assert "file /etc/kubeforge/haproxy.cfg" in found["w1"]
    assert {f"file {HOSTS}"} <= found["cp3"]
    assert any("object ConfigMap kube-system/kubeadm-config" in titles for titles in found.values())


def test_a_living_control_plane_is_drained_and_reset(fleet: Fleet) -> None:
    found = steps(fleet.plan("cp2"))
    assert {"cordon cp2", "unit kubelet.service"} <= found["cp2"]
    assert "etcd member cp2" in found["cp1"]
    assert "object Node cp2" in found["cp1"]
    assert ETCD_WAL in fleet.made.hosts["cp2"].state.paths


def test_the_quorum_is_told_before_anything_else(fleet: Fleet) -> None:
    fleet.etcd.down.add("cp3")
    plan = fleet.plan("cp2")
    (failure,) = [one for one in plan.failures if one.step == "nodes.leave_etcd"]
    assert "3 members, 3 vote, 2 serve now" in failure.cause
    assert failure.exit_code == 12


def test_without_its_host_the_order_of_the_lock_is_kept(fleet: Fleet) -> None:
    alive = with_leaving(fleet.written, ["cp1"], known=list(fleet.written.hosts))
    assert alive.lock_order[0] == "cp1"
    assert replace(alive, lock_order=()).control_planes[0].name == "cp2"
