"""API servers of hosts that leave end while their members of etcd still serve, and their Service forgets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.errors import DeadlineExceeded
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Verb
from kubeforge.tasks.node_servers import ServiceForgets, leave_service
from tests.unit.tasks.fleet import Fleet
from tests.unit.tasks.memory_api import MemoryApi
from tests.unit.tasks.test_tasks_node_objects import talk

Make = Callable[..., Any]
SLICE = ("discovery.k8s.io/v1", "EndpointSlice", "default", "kubernetes")


def led_to(*addresses: str) -> MemoryApi:
    return MemoryApi(objects_={SLICE: {"endpoints": [{"addresses": [one]} for one in addresses]}})


def test_it_ends_before_its_member_leaves_etcd(fleet: Fleet) -> None:
    fleet.made.hosts["cp3"].put(manifest_path("kube-apiserver"), b"kind: Pod")
    titles = [(step.host, change.title) for step in fleet.leaving("cp3").steps for change in step.changes]
    ends = titles.index(("cp3", "end kube-apiserver"))
    assert ends < next(at for at, (_, title) in enumerate(titles) if title == "etcd member cp3")


def test_one_that_is_dead_or_serves_none_ends_nothing(fleet: Fleet) -> None:
    for name, dead in (("cp3", True), ("w1", False)):
        plan = fleet.leaving(name, dead=dead)
        assert not [one for step in plan.steps for one in step.changes if one.title == "end kube-apiserver"]


def test_the_service_is_waited_for(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, gone = site(control_planes=2), ServiceForgets(addresses=("192.0.2.12", "192.0.2.13"))
    assert gone.plan(talk(made, leave_service, led_to("192.0.2.11"))) == []
    (change,) = gone.plan(talk(made, leave_service, led_to("192.0.2.11", "192.0.2.13")))
    assert (change.verb, change.why) == (Verb.RUN, "wait until pods are not led to 192.0.2.12, 192.0.2.13")
    assert gone.run(talk(made, leave_service, led_to("192.0.2.11")))
    monkeypatch.setattr("kubeforge.tasks.node_servers.GATE_DEADLINE", 0.0)
    with pytest.raises(DeadlineExceeded, match="it leads to"):
        gone.run(talk(made, leave_service, led_to("192.0.2.13")))


def test_it_is_asked_where_control_planes_leave_and_not_where_workers_do(fleet: Fleet) -> None:
    for name, asked in (("cp3", True), ("w1", False)):
        address = fleet.written.hosts[name].address
        fleet.api.objects_[SLICE] = {"endpoints": [{"addresses": [address]}]}
        found = [one.title for step in fleet.leaving(name).steps for one in step.changes]
        assert ("nodes.leave_service" in found) is asked
