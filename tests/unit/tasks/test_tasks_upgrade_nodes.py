"""Which nodes are drained before their kubelet changes, and how many of a group are away. On hosts in memory."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.errors import ApiUnavailable, DeadlineExceeded
from kubeforge.tasks import drain as drain_module
from kubeforge.tasks import upgrade_nodes
from kubeforge.tasks.drain import Drain, Uncordon
from kubeforge.tasks.upgrade_nodes import DRAIN, DrainFirst, GroupSpares, Released, Reported, drain, drains, spare
from tests.unit.tasks.memory_api import MemoryApi
from tests.unit.tasks.rolling_site import Make, talk
from tests.unit.tasks.upgrade_site import NEW, OLD, ROLL, Upgrading


@pytest.fixture
def upgrading(site: Make) -> Make:
    return lambda **values: Upgrading(site, **values)


def node(name: str, version: str = OLD, *, ready: bool = True, cordoned: bool = False) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "nodeInfo": {"kubeletVersion": f"v{version}"},
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
        },
    }


def serves(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, Any]) -> MemoryApi:
    api = MemoryApi({("v1", "Node", "", one["metadata"]["name"]): one for one in nodes})
    monkeypatch.setattr(upgrade_nodes, "api_of", lambda _run: api)
    return api


def two_workers(cluster: Upgrading) -> None:
    """Have another worker, so that pods can run elsewhere."""
    site = cluster._site
    cluster._site = lambda version, **values: site(version, **{**values, "workers": 2})


def test_a_kubelet_that_changes_is_drained_once(upgrading: Make) -> None:
    cluster = upgrading()
    two_workers(cluster)
    cluster.go(NEW)
    (action,) = cluster.ask("w1", drain)
    assert isinstance(action, DrainFirst)
    assert (action.drain.node, action.wanted, action.always) == ("w1", NEW, False)
    cluster.run("w1", *ROLL)
    assert cluster.ask("w1", drain) == [], "one that has changed already is left alone"


def test_where_pods_cannot_go_anywhere_nothing_is_drained(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.go(NEW)
    assert cluster.ask("w1", drain) == []
    assert cluster.ask("cp1", drain) == [], "no pods run on a tainted control plane"


@pytest.mark.parametrize(
    ("spec", "said", "wish"),
    [
        ({}, None, None),
        ({"drain": True}, None, True),
        ({"drain": True}, "no", False),
        ({"drain": False}, "yes", True),
        ({"drain": False, "groups": {"kube_node": {"drain": True}}}, None, True),
        ({"drain": True, "groups": {"kube_node": {}}}, None, True),
        ({"groups": {"kube_control_plane": {"drain": False}}}, None, None),
    ],
)
def test_who_says_whether_is_heard_in_order(site: Make, spec: Any, said: str | None, wish: bool | None) -> None:
    made = site(upgrade=spec)
    assert drains(made.context("w1", drain, vars={} if said is None else {DRAIN: said})) is wish


def test_only_another_minor_drains_unless_it_is_wished(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = upgrading()
    drained: Any = ["drained"]
    monkeypatch.setattr(Drain, "plan", lambda *_: drained)
    run, own = talk(cluster.made, "w1"), Drain(node="w1")
    serves(monkeypatch, node("w1", "1.36.1"))
    assert DrainFirst(drain=own, wanted=NEW, always=False).plan(run) == []
    assert DrainFirst(drain=own, wanted=NEW, always=True).plan(run) == drained
    serves(monkeypatch, node("w1", OLD))
    assert DrainFirst(drain=own, wanted=NEW, always=False).plan(run) == drained
    serves(monkeypatch)
    assert DrainFirst(drain=own, wanted=NEW, always=False).plan(run) == [], "no pods run where there is no node"


def test_an_api_that_is_silent_makes_the_plan_say_so(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_run: Any) -> Any:
        raise ApiUnavailable("nobody answers")

    monkeypatch.setattr(upgrade_nodes, "api_of", silent)
    action = DrainFirst(drain=Drain(node="w1"), wanted=NEW, always=False)
    (change,) = action.plan(talk(upgrading().made, "w1"))
    assert change.why == "its pods are not known yet: nobody answers"


@pytest.mark.parametrize("needs_api", [True, False])
def test_where_data_go_back_a_silent_api_holds_up_no_worker(
    upgrading: Make, monkeypatch: pytest.MonkeyPatch, needs_api: bool
) -> None:
    def silent(_run: Any) -> Any:
        raise ApiUnavailable("nobody answers")

    for module in (upgrade_nodes, drain_module):
        monkeypatch.setattr(module, "api_of", silent)
    run = talk(upgrading().made, "w1")
    actions = (
        GroupSpares(group="kube_node", nodes=("w1",), most=1, wanted=NEW, needs_api=needs_api),
        DrainFirst(drain=Drain(node="w1"), wanted=NEW, always=False, needs_api=needs_api),
        Released(uncordon=Uncordon(node="w1"), needs_api=needs_api),
    )
    assert [len(action.plan(run)) for action in actions] == [1 if needs_api else 0] * 3


def test_a_node_has_arrived_when_its_new_kubelet_has_told_so(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Node object is Ready, and of the old version, for a second or more after the new kubelet serves."""
    monkeypatch.setattr(upgrade_nodes, "NODE_DEADLINE", 0.05)
    run, action = talk(upgrading().made, "w1"), Reported(node="w1", wanted=NEW)
    api = serves(monkeypatch, node("w1", OLD))
    assert [change.why for change in action.plan(run)] == [f"wait for {NEW}: its kubelet is still {OLD}"]
    with pytest.raises(DeadlineExceeded, match=f"its kubelet is still {OLD}"):
        action.run(run)
    api.objects_["v1", "Node", "", "w1"] = node("w1", NEW)
    assert [change.why for change in action.run(run)] == [f"its kubelet is {NEW}"]
    assert action.plan(run) == []


def test_a_group_says_how_many_may_be_away(site: Make) -> None:
    made = site(workers=4, upgrade={"groups": {"kube_node": {"max_unavailable": "50%"}}})
    context = made.context("w1", spare)
    assert list(spare(context)) == [], "nothing changes there"
    assert list(spare(made.context("cp1", spare))) == []


@pytest.mark.parametrize(
    ("others", "most", "told"),
    [
        ([node("w2"), node("w3")], 1, None),
        ([node("w2", cordoned=True), node("w3")], 1, "w2 is cordoned"),
        ([node("w2", ready=False), node("w3")], 1, "w2 is not Ready"),
        ([node("w3")], 1, "w2 is not registered"),
        ([node("w2", ready=False), node("w3")], 2, None),
        ([node("w2", ready=False), node("w3", cordoned=True)], 2, "2 of web are away, 2 may be with this one"),
    ],
)
def test_it_waits_until_enough_are_there(
    upgrading: Make, monkeypatch: pytest.MonkeyPatch, others: Any, most: int, told: str | None
) -> None:
    monkeypatch.setattr(upgrade_nodes, "GATE_DEADLINE", 0.05)
    run = talk(upgrading().made, "w1")
    serves(monkeypatch, node("w1", ready=False), *others)
    action = GroupSpares(group="web", nodes=("w1", "w2", "w3"), most=most, wanted=NEW)
    if told is None:
        assert [change.title for change in action.run(run)] == ["group web"]
        return
    with pytest.raises(DeadlineExceeded, match=told):
        action.run(run)


def test_nodes_of_one_batch_count_each_other(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has been let through is away until its kubelet is new, though it is still Ready."""
    monkeypatch.setattr(upgrade_nodes, "GATE_DEADLINE", 0.05)
    made = upgrading().made
    api = serves(monkeypatch, node("w1"), node("cp1"))
    action = GroupSpares(group="web", nodes=("w1", "cp1"), most=1, wanted=NEW)
    action.run(talk(made, "w1"))
    with pytest.raises(DeadlineExceeded, match="w1 is being upgraded"):
        action.run(talk(made, "cp1"))
    api.objects_["v1", "Node", "", "w1"] = node("w1", NEW)
    action.run(talk(made, "cp1"))
