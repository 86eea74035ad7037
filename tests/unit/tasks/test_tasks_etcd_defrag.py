"""Defragmentation on members in memory: who is due, in which order, behind what; and what members say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster.snapshots import Kept
from kubeforge.cluster.status.etcd import look_at_etcd
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.report.etcd import etcd_text, members_text, one_snapshot_text, snapshots_text
from kubeforge.tasks import etcd_defrag
from kubeforge.tasks.etcd_defrag import Defragmented, defrag
from tests.unit.tasks.memory_snapshots import Shelf

Make = Callable[..., Any]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_defrag, "ETCD_DEADLINE", 0.4)
    monkeypatch.setattr(etcd_defrag, "GATE_DEADLINE", 0.4)
    monkeypatch.setattr(etcd_defrag, "lacks_quorum_without", lambda *_: None)


@pytest.fixture
def shelf(site: Make) -> Shelf:
    made = Shelf(site(control_planes=3, workers=1))
    for name, used in (("cp1", 20), ("cp2", 90), ("cp3", 96)):
        made.states[name] = {"dbSize": 100 * MIB, "dbSizeInUse": used * MIB, "dbSizeQuota": 2048 * MIB}
    return made


def hosts(shelf: Shelf) -> Any:
    return shelf.site.sample.inventory.etcd_members


def test_one_at_a_time_the_leader_last(shelf: Shelf) -> None:
    shelf.states["cp2"]["dbSizeInUse"] = 30 * MIB
    run = shelf.run("cp1")
    changes = Defragmented().plan(run)
    assert [change.why for change in changes] == [
        "uses 30.0 MiB of 100.0 MiB",
        "uses 20.0 MiB of 100.0 MiB; leads, so it is the last",
    ]
    assert shelf.etcd.log == [], "a plan changes nothing"
    assert [change.title for change in Defragmented().run(run)] == ["etcd.defrag cp2", "etcd.defrag cp1"]
    assert [line for line in shelf.etcd.log if "defrag" in line] == ["cp2: defrag", "cp1: defrag"]
    assert Defragmented().plan(shelf.run("cp1")) == [], "the second run has nothing to do"


def test_a_member_that_the_others_cannot_spare_is_left_alone(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        etcd_defrag, "lacks_quorum_without", lambda *_: "etcd would lose its quorum without this member"
    )
    with pytest.raises(DeadlineExceeded, match="would lose its quorum"):
        Defragmented().run(shelf.run("cp1"))
    assert not [line for line in shelf.etcd.log if "defrag" in line]


@pytest.mark.parametrize(
    ("kinds", "ends"),
    [(["NOSPACE"], True), (["NOSPACE"] * 2, True), (["NOSPACE", "CORRUPT"], False), (["CORRUPT"], False)],
)
def test_only_an_alarm_about_room_is_ended(shelf: Shelf, kinds: list[str], ends: bool) -> None:
    shelf.alarms = [{"memberID": number, "alarm": kind} for number, kind in enumerate(kinds, 1)]
    Defragmented().run(shelf.run("cp1"))
    assert (shelf.alarms == []) == ends


def test_an_alarm_stays_while_there_is_no_room(shelf: Shelf) -> None:
    shelf.alarms = [{"memberID": 1, "alarm": "NOSPACE"}]
    shelf.states["cp3"]["dbSizeQuota"] = 50 * MIB
    Defragmented().run(shelf.run("cp1"))
    assert shelf.alarms


def test_the_task_asks_once(shelf: Shelf) -> None:
    assert [list(defrag(shelf.run(name).context)) for name in ("cp1", "cp2", "w1")] == [[Defragmented()], [], []]


def test_what_members_are_like(shelf: Shelf) -> None:
    seen = look_at_etcd(hosts(shelf), lambda name: shelf.site.hosts[name])
    assert seen.well
    text = etcd_text(seen).splitlines()
    assert text[-1] == "3 of 3 members serve; etcd can do without 1 of them"
    assert text[1].split()[:10] == ["cp1", "leader", "3.6.16", "7", "100.0", "MiB", "20.0", "MiB", "2.0", "GiB"]
    assert [line.split()[:4] for line in members_text(seen).splitlines()[1:]] == [
        ["cp1", "1", "3.6.16", "leader"],
        ["cp2", "2", "3.6.16", "voter"],
        ["cp3", "3", "3.6.16", "voter"],
    ]


def test_members_that_are_down_unknown_or_strangers(shelf: Shelf) -> None:
    shelf.etcd.down = {"cp3", "old"}
    del shelf.etcd.members["cp3"]
    shelf.etcd.addresses = {**shelf.etcd.addresses, "old": "192.0.2.99"}
    shelf.etcd.add("old", started=True)
    shelf.alarms = [{"memberID": 1, "alarm": "CORRUPT"}]
    seen = look_at_etcd(hosts(shelf), lambda name: shelf.site.hosts[name])
    assert not seen.well
    listed = members_text(seen)
    assert "none: etcd does not count it" in listed
    assert [line.split()[0] for line in listed.splitlines()] == ["MEMBER", "cp1", "cp2", "cp3", "old"]
    text = etcd_text(seen)
    assert "CORRUPT" in text.splitlines()[1]
    assert text.endswith("2 of 3 members serve; etcd can do without none of them\n"), text
    with pytest.raises(UnfitHost, match="not all members of etcd serve"):
        Defragmented().plan(shelf.run("cp1"))


def test_no_quorum_and_nobody_there(shelf: Shelf) -> None:
    shelf.etcd.down = {"cp1", "cp2"}
    seen = look_at_etcd(hosts(shelf), lambda name: shelf.site.hosts[name])
    assert etcd_text(seen).endswith("no quorum: of 3 members 2 must serve, and 0 do\n")
    for host in shelf.site.hosts.values():
        host.unreachable = True
    gone = look_at_etcd(hosts(shelf), lambda name: shelf.site.hosts[name])
    assert {one.problem for one in gone.members} == {"its host cannot be asked"}
    assert not gone.well


def test_snapshots_as_text(shelf: Shelf) -> None:
    one, two = shelf.take("cp1"), shelf.take("cp2", ("scheduled", "schedule", ""))
    kept = Kept(snapshots={"cp1": (one,), "cp2": (one, two)}, silent={"cp3": "cannot be reached"})
    lines = snapshots_text(kept).splitlines()
    assert lines[1].startswith(one.name)
    assert lines[1].endswith("cp1,cp2")
    assert "schedule" in lines[2]
    assert lines[3] == "cp3 cannot be asked: cannot be reached"
    told = one_snapshot_text(one, {"cp1": True, "cp2": False})
    assert "copy on cp2  DAMAGED" in told
    assert "sent by its member" in told
