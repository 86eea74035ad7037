"""Members that come back without data, late founders, learners left behind, lost quorum: on an etcd in memory.

The same with real etcd: tests/integration/etcd and tests/e2e.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.errors import DeadlineExceeded, QuorumLost, UnfitHost
from kubeforge.operations.model import Change, Observation
from kubeforge.spec.paths import ETCD_UNIT, ETCD_WAL, MANIFESTS
from kubeforge.tasks import etcd, etcd_members, etcd_recovery
from kubeforge.tasks.etcd_leaves import MemberLeaves, leave
from kubeforge.tasks.etcd_members import FounderTurn, MemberJoins, MemberServes, MemberSpared, QuorumKept
from kubeforge.tasks.etcd_recovery import RECOVER_FROM, Recovery, recover
from kubeforge.tasks.etcd_runs import no_joiner
from tests.unit.tasks.memory_etcd import MemoryEtcd

Make = Callable[..., Any]
STACKED = (etcd.member, "cp1", "cp2", "cp3")
SERVICE = (etcd.service, "e1", "e2", "e3")


class World:
    """A living etcd of three members that kubeforge made, and runs on it."""

    def __init__(self, site: Any, task: Any, *names: str) -> None:
        self.site, self.task, self.names = site, task, names
        self.said: list[str] = []
        for name in names:
            site.apply(name, task)
        site.begin()
        hosts = {name: site.hosts[name] for name in names}
        addresses = {name: site.sample.inventory.hosts[name].address for name in names}
        self.etcd = MemoryEtcd(hosts, addresses)

    def run(self, name: str, *, changed: bool = False) -> Conversation:
        self.site.begin()
        return Conversation(
            context=self.site.context(name, self.task),
            title="t",
            expected=Observation(changed=frozenset({"file /x"} if changed else ())),
            pending=changed,
            connect=lambda host: self.site.hosts[host],
            events=Events([lambda event: self.said.append(event.message) if isinstance(event, ActionSaid) else None]),
            stopping=lambda: False,
            run_id="r2",
        )

    def joins(self, name: str) -> tuple[MemberJoins, Conversation]:
        run = self.run(name)
        (action,) = [one for one in self.task(run.context) if isinstance(one, MemberJoins)]
        return action, run

    def settled(self, name: str) -> bool:
        return f"--initial-cluster={name}=https://{self.etcd.addresses[name]}:2380" in self.etcd.command_line(name)


@contextmanager
def impatient() -> Iterator[None]:
    """Where something never comes true, it is soon given up; elsewhere a busy machine has all the time it needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(etcd_members, "ETCD_DEADLINE", 0.4)
        patch.setattr(etcd_recovery, "ETCD_DEADLINE", 0.4)
        yield


@pytest.fixture(params=["stacked", "service"])
def world(request: pytest.FixtureRequest, site: Make, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(etcd_members, "ETCD_TURN_DEADLINE", 0.2)
    if request.param == "stacked":
        return World(site(control_planes=3, workers=0), *STACKED)
    return World(site(etcd_hosts=3), *SERVICE)


def whys(changes: Any) -> list[str]:
    assert all(isinstance(change, Change) for change in changes)
    return [change.why for change in changes]


def test_a_member_that_lost_its_data_comes_back_under_a_new_id(world: World) -> None:
    third = world.names[2]
    world.etcd.lose(third)
    assert not world.etcd.lives(third), "by itself it never does"
    action, run = world.joins(third)
    assert whys(action.plan(run)) == [
        "its data are lost: member 3 is removed, and it joins as a learner, is filled by the others and promoted"
    ]
    assert world.etcd.log == [], "a plan changes nothing"
    world.etcd.refusals = 2  # peers have not been connected for five seconds yet
    action.run(run)
    address = world.etcd.addresses[third]
    assert world.etcd.log == ["remove 3", f"add {third} --learner --peer-urls=https://{address}:2380", "promote 4"]
    assert world.etcd.has_data(third)
    assert world.settled(third), "what starts without data is not left behind"
    world.site.begin()
    assert world.site.changes(third, world.task) == []
    assert MemberServes().plan(world.run(third)) == []


@pytest.mark.parametrize("moment", ["removed", "added", "joined"])
def test_a_run_that_was_cut_off_is_gone_on_with(world: World, moment: str) -> None:
    third = world.names[2]
    world.etcd.lose(third)
    del world.etcd.members[third]
    if moment != "removed":
        world.etcd.add(third, learner=True)
    if moment == "joined":
        world.etcd.hosts[third].overlay(
            Observation(paths={ETCD_WAL: world.etcd.hosts[world.names[0]].state.paths[ETCD_WAL]})
        )
        world.etcd.members[third].name = third
        left = ["etcd", f"--name={third}", "--initial-cluster=all"]
        world.etcd.join(third, left)
        world.site.begin()
        assert no_joiner().title in world.site.apply(third, world.task), "what joined makes room"
        assert world.etcd.command_line(third) != left
        run = world.run(third)
        assert "non_learner" in whys(MemberServes().plan(run))[0]
        MemberServes().run(run)
    else:
        action, run = world.joins(third)
        action.run(run)
    assert not world.etcd.members[third].learner
    assert world.etcd.members[third].name == third
    assert world.settled(third)
    assert world.etcd.serves()


def test_a_member_that_etcd_does_not_know_yet(world: World) -> None:
    third = world.names[2]
    world.etcd.lose(third)
    del world.etcd.members[third]
    action, run = world.joins(third)
    assert whys(action.plan(run)) == ["joins as a learner, is filled by the others and promoted"]


def test_data_that_are_there_after_all_are_never_removed(world: World) -> None:
    third = world.names[2]
    world.etcd.lose(third)
    action, run = world.joins(third)
    world.etcd.hosts[third].overlay(
        Observation(paths={ETCD_WAL: world.etcd.hosts[world.names[0]].state.paths[ETCD_WAL]})
    )
    with pytest.raises(Exception, match="ended with status 1"):
        action.run(run)
    assert world.etcd.log == []


def test_two_of_three_without_data_is_for_a_person_to_decide(world: World) -> None:
    first, second, third = world.names
    world.etcd.lose(second, third)
    for name in (second, third):
        action, run = world.joins(name)
        with pytest.raises(QuorumLost, match=f"and 1 has \\({second} has no data; {third} has no data\\)") as raised:
            action.plan(run)
        assert raised.value.remedy == f"kubeforge etcd recover --from {first}, then kubeforge apply"
    with pytest.raises(QuorumLost, match="nothing was touched"):
        MemberServes().plan(world.run(first))
    assert world.etcd.log == []


def test_members_that_only_do_not_run_are_waited_for(world: World) -> None:
    world.etcd.down = set(world.names[:2])
    (change,) = MemberServes().plan(world.run(world.names[2]))
    assert "RAFT NO LEADER" in change.why
    assert "nothing listens" in whys(MemberServes().plan(world.run(world.names[0])))[0]


def test_one_without_data_waits_for_others_that_do_not_run(world: World) -> None:
    third = world.names[2]
    world.etcd.lose(third)
    world.etcd.down = set(world.names[:2])
    action, run = world.joins(third)
    assert whys(action.plan(run)) == ["joins without data, once the others serve"]
    with impatient(), pytest.raises(DeadlineExceeded, match="the other members serve: not within 0 s"):
        action.run(run)
    world.etcd.down = set()
    action.run(run)
    assert world.etcd.members[third].name == third


def test_a_founder_that_was_too_late_is_founded(world: World) -> None:
    """The run that founded the others was cut off; nothing was ever written, as nobody has a quorum."""
    first, *late = world.names
    world.etcd.revision = 1
    world.etcd.lose(*late)
    planned = [world.joins(name) for name in late]
    for action, run in planned:
        assert whys(action.plan(run)) == ["is founded with the others, which wait for it"]
    second, run = planned[0]
    second.run(run)
    assert world.etcd.has_data(late[0])
    assert world.etcd.log == []
    third, run = planned[1]
    third.run(run)
    assert world.etcd.log[0] == "remove 3", "by now the two serve, so the third comes in as any other"
    assert MemberServes().plan(world.run(first)) == []


def spared(world: World, name: str) -> MemberSpared:
    (action,) = [one for one in world.task(world.run(name).context) if isinstance(one, MemberSpared)]
    return action


def test_a_service_is_restarted_when_the_others_can_do_without_it(site: Make) -> None:
    made = World(site(etcd_hosts=3), *SERVICE)
    assert spared(made, "e1").plan(made.run("e1")) == []
    changed = replace(made.run("e1"), expected=Observation(changed=frozenset({"artifact /usr/local/bin/etcd"})))
    assert len(spared(made, "e1").plan(changed)) == 1
    made.site.hosts["e1"].put(ETCD_UNIT, made.site.hosts["e1"].file(ETCD_UNIT) + b"# by hand\n")
    action, run = spared(made, "e1"), made.run("e1")
    assert whys(action.plan(run)) == ["restarts when etcd can do without it for a moment"]
    action.run(run)
    made.etcd.down = {"e3"}
    with impatient(), pytest.raises(DeadlineExceeded, match=r"can do without this member.*e3 has its data, but"):
        action.run(run)


def test_a_control_plane_sees_that_its_etcd_is_lost(site: Make) -> None:
    made = World(site(etcd_hosts=3), *SERVICE)
    assert QuorumKept().plan(made.run("cp1")) == []
    made.etcd.down = {"e1"}
    assert QuorumKept().plan(made.run("cp1")) == []
    made.etcd.down = set()
    made.etcd.lose("e1", "e3")
    with pytest.raises(QuorumLost, match="e1 has no data; e3 has no data"):
        QuorumKept().plan(made.run("cp1"))


def test_a_member_that_the_others_took_out(world: World) -> None:
    third = world.names[2]
    del world.etcd.members[third]
    world.etcd.down = {third}
    with pytest.raises(UnfitHost, match="goes on without this member") as raised:
        MemberServes().plan(world.run(third))
    assert "move /var/lib/etcd/member away" in str(raised.value.remedy)


def test_serving_is_waited_for_after_changes_and_evidence_is_shown(world: World) -> None:
    first = world.names[0]
    assert whys(MemberServes().plan(world.run(first, changed=True))) == ["wait for etcd: after the changes above"]
    assert whys(MemberServes().run(world.run(first, changed=True))) == ["it serves"]
    world.etcd.down = {first}
    with impatient(), pytest.raises(DeadlineExceeded, match="the etcd member serves: not within 0 s") as raised:
        MemberServes().run(world.run(first))
    assert "let it come back empty" in str(raised.value.remedy)


def test_alone_it_is_enough_that_a_founder_lives(world: World) -> None:
    first, *rest = world.names
    world.etcd.lose(*rest)
    world.etcd.revision = 1
    MemberServes(alone=True).run(world.run(first))
    world.etcd.revision = 2
    with impatient(), pytest.raises(DeadlineExceeded):
        MemberServes(alone=True).run(world.run(first))


def test_a_founders_turn(world: World) -> None:
    first, second, _ = world.names
    FounderTurn(after=first).run(world.run(second))
    assert world.said == []
    world.etcd.down = {first}
    FounderTurn(after=first).run(world.run(second))
    assert "goes on by itself" in world.said[0]


def test_one_member_s_data_become_all_of_etcd(world: World) -> None:
    """Then the others come back, as any member without data."""
    first, second, third = world.names
    world.etcd.lose(second, third)
    run = world.run(first)
    assert whys(Recovery().plan(run)) == ["its data become all of etcd, with this member alone; a copy is kept aside"]
    Recovery().run(run)
    address = world.etcd.addresses[first]
    (told,) = world.etcd.log
    assert told.startswith(f"--name {first} --initial-cluster {first}=https://{address}:2380 ")
    assert told.endswith("--bump-revision 1000000000 --mark-compacted")
    assert list(world.etcd.members) == [first]
    assert world.etcd.serves()
    for name in (second, third):
        action, back = world.joins(name)
        action.run(back)
    assert sorted(world.etcd.members) == sorted(world.names)
    assert world.etcd.serves()


def test_what_others_still_have_is_kept_aside(site: Make) -> None:
    made = World(site(control_planes=5, workers=0), etcd.member, "cp1", "cp2", "cp3", "cp4", "cp5")
    made.etcd.lose("cp3", "cp4", "cp5")
    run = made.run("cp2")
    assert [change.title for change in Recovery().plan(run)] == ["etcd.recover cp1", "etcd.recover"]
    done = Recovery().run(run)
    assert "/var/lib/etcd/member.before-r2" in done[0].why
    assert not made.etcd.has_data("cp1")
    assert ("mv", "-T", "--", "/var/lib/etcd/member", "/var/lib/etcd/member.before-r2") in made.site.hosts["cp1"].ran


def test_nothing_is_recovered_that_is_not_lost(world: World) -> None:
    first, second, third = world.names
    with pytest.raises(UnfitHost, match="etcd serves: nothing is to be recovered"):
        Recovery().plan(world.run(first))
    world.etcd.down = {second, third}
    with pytest.raises(UnfitHost, match="has the data of more than half of its members"):
        Recovery().plan(world.run(first))
    world.etcd.down = set()
    world.etcd.lose(second, third)
    with pytest.raises(UnfitHost, match="no data of etcd to go on from") as raised:
        Recovery().plan(world.run(second))
    assert raised.value.remedy == f"hosts that have some: {first}"


def test_recovery_is_about_the_host_that_was_named(world: World) -> None:
    context = world.run(world.names[0]).context
    assert list(recover(context)) == []
    named = replace(context, vars={RECOVER_FROM: world.names[0]})
    assert [type(one) for one in recover(named)] == [Recovery]


def leaves(world: World, *names: str) -> list[tuple[MemberLeaves, Conversation]]:
    """Return the actions of hosts that are reset in one run."""
    runs = [world.run(name) for name in names]
    for run in runs:
        run.context.vault.once("reset.leaving", set[str]).update(names)
    found = []
    for run in runs:
        (action,) = leave(run.context)
        assert isinstance(action, MemberLeaves)
        found.append((action, run))
    return found


def test_a_member_that_leaves_is_removed_before_it_stops(world: World) -> None:
    third = world.names[2]
    ((action, run),) = leaves(world, third)
    assert whys(action.plan(run)) == ["member 3 leaves etcd"]
    world.etcd.refusals = 1
    action.run(run)
    assert world.etcd.log == ["remove 3"]
    assert action.plan(run) == []


def test_an_etcd_that_goes_as_a_whole_is_not_told(world: World) -> None:
    assert all(action.plan(run) == [] for action, run in leaves(world, *world.names))
    assert world.said == []


def test_nobody_leaves_others_without_a_quorum(world: World) -> None:
    first, second, third = world.names
    world.etcd.down = {second}
    ((action, run),) = leaves(world, third)
    with pytest.raises(UnfitHost, match="of the 2 members that stay 2 must serve, and 1 does"):
        action.plan(run)
    world.etcd.down = {first, second}
    assert action.plan(run) == []
    assert "etcd cannot be told" in world.said[0]


def test_files_that_say_how_etcd_runs(world: World) -> None:
    """The helper above reads them: were they elsewhere, it would see nothing run."""
    path = ETCD_UNIT if world.task is etcd.service else f"{MANIFESTS}/etcd.yaml"
    assert b"--initial-cluster-state=existing" in world.etcd.hosts[world.names[0]].file(path)
