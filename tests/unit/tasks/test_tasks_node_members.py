"""Members of etcd that leave, dead and alive, on an etcd in memory; a host that is dead is never reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.inventory.membership import with_leaving
from kubeforge.operations.model import Observation
from kubeforge.tasks import etcd, node_members
from kubeforge.tasks.node_members import MembersLeave, leave_etcd
from tests.unit.tasks.memory_etcd import MemoryEtcd

Make = Callable[..., Any]
NAMES = ("cp1", "cp2", "cp3")


class World:
    """Three control planes with a member each, and who was reached since the run began."""

    def __init__(self, site: Any) -> None:
        self.site = site
        for name in NAMES:
            site.apply(name, etcd.member)
        site.begin()
        self.written = site.sample.inventory
        hosts = {name: site.hosts[name] for name in NAMES}
        self.etcd = MemoryEtcd(hosts, {name: self.written.hosts[name].address for name in NAMES})
        for entry in self.etcd.members.values():
            entry.name = next(name for name in NAMES if self.written.hosts[name].address in entry.url)
        self.reached: list[str] = []
        self.said: list[str] = []

    def run(self, *names: str, dead: bool = False, on: str = "cp3") -> tuple[MembersLeave, Conversation]:
        inventory = with_leaving(self.written, names, dead=dead, known=list(self.written.hosts))
        self.site.begin()
        context = replace(self.site.context(on, leave_etcd), inventory=inventory, host=inventory.hosts[on])
        (action,) = leave_etcd(context)
        assert isinstance(action, MembersLeave)
        talk = Conversation(
            context=context,
            title=action.title,
            expected=Observation(),
            pending=False,
            connect=self._reach,
            events=Events([lambda event: self.said.append(event.message) if isinstance(event, ActionSaid) else None]),
            stopping=lambda: False,
            run_id="r2",
        )
        return action, talk

    def _reach(self, name: str) -> Any:
        self.reached.append(name)
        return self.site.hosts[name]


@pytest.fixture
def world(site: Make) -> World:
    return World(site(control_planes=3, workers=1))


def test_a_member_leaves(world: World) -> None:
    action, run = world.run("cp2")
    (planned,) = action.plan(run)
    assert planned.title == "etcd member cp2"
    assert planned.why == "3 members, 3 vote, 3 serve now; without cp2 2 are left, of which 2 must serve, and 2 do"
    assert world.etcd.log == [], "a plan changes nothing"
    assert "none may fail" in world.said[0]
    world.etcd.refusals = 2
    assert [change.why for change in action.run(run)] == ["left etcd"]
    assert set(world.etcd.members) == {"cp1", "cp3"}
    assert action.plan(run) == []
    assert action.run(run) == []


@pytest.mark.parametrize("name", ["cp1", "cp2"])
def test_a_dead_member_is_never_reached(world: World, name: str) -> None:
    world.etcd.down.add(name)
    world.site.hosts[name].unreachable = True
    action, run = world.run(name, dead=True)
    assert len(action.plan(run)) == 1
    action.run(run)
    assert name not in world.etcd.members
    assert name not in world.reached
    assert world.site.hosts[name].ran == []


def test_a_member_that_would_take_the_quorum_with_it_stays(world: World) -> None:
    world.etcd.down.add("cp1")
    action, run = world.run("cp2")
    with pytest.raises(UnfitHost) as caught:
        action.plan(run)
    assert caught.value.cause == (
        "etcd would lose its quorum: 3 members, 3 vote, 2 serve now; without cp2 2 are left, "
        "of which 2 must serve, and 1 does; it was left as it is"
    )
    assert "kubeforge node remove HOST --dead" in str(caught.value.remedy)
    assert world.etcd.log == []


def test_a_member_that_fails_after_the_plan_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_members, "ETCD_COUNT_DEADLINE", 0.2)
    action, run = world.run("cp2")
    action.plan(run)
    world.etcd.down.add("cp1")
    with pytest.raises(UnfitHost, match="would lose its quorum"):
        action.run(run)
    assert set(world.etcd.members) == set(NAMES)


def test_an_election_is_waited_for(world: World) -> None:
    """Where the leader has left, nobody serves for a moment."""
    action, run = world.run("cp2")
    looks: list[str] = []

    def looked(name: str) -> Any:
        looks.append(name)
        world.etcd.down = {"cp1"} if len(looks) < 6 else set()
        return world.site.hosts[name]

    assert [change.why for change in action.run(replace(run, connect=looked))] == ["left etcd"]


def test_two_go_one_after_the_other_the_dead_one_first(world: World) -> None:
    world.etcd.down.add("cp1")
    action, run = world.run("cp1", "cp2")
    assert [change.title for change in action.plan(run)] == ["etcd member cp1", "etcd member cp2"]
    action.run(run)
    assert world.etcd.log == ["remove 1", "remove 2"]


def test_without_a_quorum_nobody_can_leave(world: World) -> None:
    world.etcd.down |= {"cp1", "cp2"}
    for name in ("cp1", "cp2"):
        world.site.hosts[name].unreachable = True
    action, run = world.run("cp1", "cp2", dead=True)
    with pytest.raises(UnfitHost) as caught:
        action.plan(run)
    assert "etcd recover" in str(caught.value.remedy)


def test_what_etcd_never_takes_ends_with_what_it_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_members, "ETCD_DEADLINE", 0.2)
    action, run = world.run("cp2")
    world.etcd.refusals = 10_000
    with pytest.raises(DeadlineExceeded, match="unhealthy cluster"):
        action.run(run)


def test_workers_are_none_of_etcds_business(world: World) -> None:
    inventory = with_leaving(world.written, ["w1"], known=list(world.written.hosts))
    context = replace(world.site.context("cp1", leave_etcd), inventory=inventory)
    assert list(leave_etcd(context)) == []
