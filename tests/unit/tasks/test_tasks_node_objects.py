"""What the API holds of hosts that come or go; who is on one side only is said while a plan is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kubeforge.cluster.etcd import Member
from kubeforge.cluster.membership import Census
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.errors import ApiUnavailable, ConnectionFailed
from kubeforge.inventory.membership import with_leaving
from kubeforge.operations.model import Change, Observation, Verb
from kubeforge.tasks import node_objects
from kubeforge.tasks.node_objects import IfNode, Strangers, bury, clear, close, forget, strangers
from tests.unit.tasks.fleet import node
from tests.unit.tasks.memory_api import FixedAccess, MemoryApi

Make = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Stands for an action about a node."""

    done: list[str] = field(default_factory=list)
    title: str = "drain w1"

    def plan(self, _run: Any) -> list[Change]:
        self.done.append("plan")
        return [Change(title=self.title, verb=Verb.UPDATE, why="x")]

    def run(self, _run: Any) -> list[Change]:
        self.done.append("run")
        return [Change(title=self.title, verb=Verb.UPDATE, why="x")]


def talk(
    made: Any, task: Any, api: MemoryApi | None, said: list[str] | None = None, details: list[Any] | None = None
) -> Conversation:
    made.begin()
    made.vault.once("cluster.access", lambda: FixedAccess(api))
    heard = said if said is not None else []
    return Conversation(
        context=made.context("cp1", task),
        title="t",
        expected=Observation(),
        pending=False,
        connect=lambda host: made.hosts[host],
        events=Events([lambda event: heard.append(event.message) if isinstance(event, ActionSaid) else None]),
        stopping=lambda: False,
        remarked=lambda _, told: None if details is None else details.append(dict(told)),
    )


def test_what_is_about_a_node_is_done_where_there_is_one(site: Make) -> None:
    made, api, noted = site(), MemoryApi(), Noted()
    action: Any = IfNode(node="w1", action=noted)  # type: ignore[arg-type]
    assert action.title == "drain w1"
    assert action.plan(talk(made, close, api)) == action.run(talk(made, close, api)) == []
    assert noted.done == []
    api.objects_["v1", "Node", "", "w1"] = node("w1")
    assert action.plan(talk(made, close, api))
    assert action.run(talk(made, close, api))
    assert noted.done == ["plan", "run"]


def given(made: Any, task: Any, *names: str, on: str = "cp1", dead: bool = False) -> list[Any]:
    written = made.sample.inventory
    inventory = with_leaving(written, names, dead=dead, known=list(written.hosts))
    return list(task(replace(made.context("cp1", task), inventory=inventory, host=inventory.hosts[on])))


def test_of_several_nodes_that_leave_none_takes_the_pods_of_another(site: Make) -> None:
    made = site(workers=3)
    assert given(made, close, "w1", on="w1") == []
    assert [one.title for one in given(made, close, "w1", "w2", on="w2")] == ["cordon w2"]
    assert [one.title for one in given(made, clear, "w1", "w2", on="w2")] == ["drain w2"]


def test_the_dead_are_buried_from_elsewhere(site: Make) -> None:
    made = site(workers=3)
    (first, second) = given(made, bury, "w1", "w2", dead=True)
    assert [first.title, second.title] == ["drain w1", "drain w2"]
    assert first.action.options.dead
    assert given(made, bury, "w1") == [], "who lives is not"
    assert [one.title for one in given(made, forget, "w1", "w2", dead=True)] == ["object Node w1", "object Node w2"]
    assert [one.title for one in given(made, forget, "w1")] == ["object Node w1"]


def test_who_is_on_one_side_only_is_said(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, said, details = site(control_planes=2, workers=2), list[str](), list[Any]()
    stray = Member(id="9", name="cp9", peer_urls=("https://192.0.2.99:2380",))
    unstarted = Member(id="8", name="", peer_urls=("https://192.0.2.98:2380",))
    mine = Member(id="1", name="cp1", peer_urls=())
    found = Census(nodes=frozenset({"cp1", "cp2", "w1", "w7"}), members=(mine, stray, unstarted))
    monkeypatch.setattr(node_objects, "take", lambda *_: found)
    (action,) = made.ask("cp1", strangers)
    assert isinstance(action, Strangers)
    assert action.plan(talk(made, strangers, MemoryApi(), said, details)) == []
    told = "\n".join(said)
    for words in (
        "node w7 is in the cluster and not in the inventory",
        "kubeforge node remove w7 --dead",
        "member cp9 of etcd is on no host that the inventory names for it",
        "member 8 (https://192.0.2.98:2380, never started) of etcd",
        "w2 is in the inventory and not a node of the cluster: apply, or kubeforge node add w2",
        "cp2 should be a member of etcd and is none",
    ):
        assert words in told
    assert len(said) == 5
    assert all(text.startswith("warning: ") for text in said)
    assert details == [
        {"kind": "node", "name": "w7", "missing_from": "inventory"},
        {"kind": "etcd-member", "name": "cp9", "id": "9", "missing_from": "inventory"},
        {"kind": "etcd-member", "name": "", "id": "8", "missing_from": "inventory"},
        {"kind": "node", "name": "w2", "missing_from": "cluster"},
        {"kind": "etcd-member", "name": "cp2", "missing_from": "cluster"},
    ]


def test_where_all_is_as_written_nothing_is_said(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = site(), list[str]()
    found = Census(nodes=frozenset({"cp1", "w1", "w2"}), members=(Member(id="1", name="cp1", peer_urls=()),))
    monkeypatch.setattr(node_objects, "take", lambda *_: found)
    Strangers().plan(talk(made, strangers, MemoryApi(), said))
    assert said == []


@pytest.mark.parametrize("error", [ApiUnavailable("nobody answers"), ConnectionFailed("no route")])
def test_where_nobody_can_be_asked_nothing_is_said(site: Make, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def fails(*_: Any) -> Census:
        raise error

    made, said = site(), list[str]()
    monkeypatch.setattr(node_objects, "take", fails)
    run = talk(made, strangers, None if isinstance(error, ApiUnavailable) else MemoryApi(), said)
    assert Strangers().plan(run) == Strangers().run(run) == []
    assert said == []
