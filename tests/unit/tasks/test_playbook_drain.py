"""The playbooks of cordon, drain and uncordon over a cluster in memory: no host of a node is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster import evicting
from kubeforge.cluster.cordon import cordoned_by, is_cordoned
from tests.unit.draining_api import node, pod
from tests.unit.tasks.machines import Machines


@pytest.fixture
def machines(site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Machines:
    monkeypatch.setattr(evicting, "_AGAIN", 0.0)
    made = Machines(site(workers=3))
    for name in ("w1", "w2", "w3"):
        made.hosts[name].unreachable = True
    return made


def test_nodes_are_drained_one_after_the_other_without_their_hosts(machines: Machines) -> None:
    plan, result = machines.run("drain", nodes="w1,w2")
    assert result.exit_code == 0, result.failures
    assert machines.log == [
        *("cp1 cordon w1", "cp1 pod default/a", "cp1 cordon w2", "cp1 pod default/b"),
    ]
    assert plan.hosts == ("cp1",)
    assert [machines.hosts[name].round_trips for name in ("w1", "w2", "w3")] == [0, 0, 0]
    assert is_cordoned(machines.api.node("w1"))
    assert cordoned_by(machines.api.node("w1")) is None
    assert machines.run("drain", nodes="w1,w2")[0].changes == 0


def test_a_node_of_no_inventory(machines: Machines) -> None:
    machines.api.objects_["v1", "Node", "", "old-7"] = node("old-7", ready=False)
    machines.api.objects_["v1", "Pod", "default", "c"] = pod("c", on="old-7", owner=None)
    assert machines.run("drain", nodes="old-7", drain_dead="yes")[1].exit_code == 0
    assert machines.log == ["cp1 cordon old-7", "cp1 pod default/c"]


def test_what_is_refused_for_one_node_leaves_all_as_they_are(machines: Machines) -> None:
    machines.api.objects_["v1", "Pod", "default", "c"] = pod("c", on="w2", owner=None)
    plan, result = machines.run("drain", nodes="w1,w2")
    assert [(failure.host, failure.step) for failure in plan.failures] == [("cp1", "drain w2")]
    assert (result.exit_code, machines.log) == (12, [])
    assert not is_cordoned(machines.api.node("w1"))


def test_the_first_drain_that_is_given_up_ends_the_run(machines: Machines) -> None:
    machines.api.stuck.add("a")
    result = machines.run("drain", nodes="w1,w2", drain_deadline="0.3s")[1]
    assert (result.exit_code, result.failures[0].step) == (15, "drain w1")
    assert machines.log == []
    assert not any(is_cordoned(machines.api.node(name)) for name in ("w1", "w2"))


def test_cordon_and_uncordon(machines: Machines) -> None:
    assert machines.run("cordon", nodes="kube_node")[1].exit_code == 0
    assert machines.log == [f"cp1 cordon {name}" for name in ("w1", "w2", "w3")]
    assert machines.run("cordon", nodes="kube_node")[0].changes == 0
    assert machines.run("uncordon", nodes="w2")[1].exit_code == 0
    assert [is_cordoned(machines.api.node(name)) for name in ("w1", "w2", "w3")] == [True, False, True]


def test_a_wrong_span_is_told_and_nothing_is_done(machines: Machines) -> None:
    plan, _ = machines.run("drain", nodes="w1", drain_grace="soon")
    assert plan.failures[0].exit_code == 10
    assert "drain_grace" in plan.failures[0].evidence[0]
