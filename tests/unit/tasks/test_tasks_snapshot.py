"""Snapshots that are asked for, on hosts in memory: who takes it, who keeps it, who found it already."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.snapshots import folder
from kubeforge.errors import InputError, OperationFailed, UnfitHost
from kubeforge.operations.model import Observation
from kubeforge.spec.paths import ETCD_MEMBER
from kubeforge.tasks import etcd
from kubeforge.tasks.snapshot import REASON, SNAPSHOT_FROM, SaveSnapshot, save, taken
from kubeforge.tasks.snapshot_fetch import SNAPSHOT_TO, SnapshotFetched, fetched
from kubeforge.tasks.snapshot_schedule import schedule
from kubeforge.transport.base import Completed
from tests.unit.tasks.memory_snapshots import Shelf

Make = Callable[..., Any]


@pytest.fixture
def shelf(site: Make) -> Shelf:
    return Shelf(site(control_planes=3, workers=1))


def test_one_takes_it_and_all_keep_it(shelf: Shelf) -> None:
    action = SaveSnapshot(reason="by hand")
    planned = {name: action.plan(shelf.run(name)) for name in shelf.names}
    assert [name for name, changes in planned.items() if changes] == ["cp1"]
    assert planned["cp1"][0].why == "by hand: sent by this member, verified, and kept on cp1, cp2, cp3"
    assert shelf.number == 0, "a plan changes nothing"
    run = shelf.run("cp1")
    (done,) = action.run(run)
    (snapshot,) = taken(run.context).values()
    assert snapshot.name in done.why
    assert shelf.keepers(snapshot) == ["cp1", "cp2", "cp3"]
    for name in shelf.names:
        host = shelf.site.hosts[name]
        assert host.file(f"{folder(snapshot.name)}/snapshot.db") == b"database 1"
        assert host.file(f"{folder(snapshot.name)}/pki.tar") == b"keys"


def test_a_member_that_is_away_is_left_out(shelf: Shelf) -> None:
    run = shelf.run("cp1")
    shelf.site.hosts["cp3"].unreachable = True
    SaveSnapshot(reason="by hand").run(run)
    (snapshot,) = taken(run.context).values()
    assert shelf.keepers(snapshot) == ["cp1", "cp2"]
    assert any(said.startswith("warning: cp3 keeps no copy") for said in shelf.said)


def test_old_copies_go_everywhere(shelf: Shelf) -> None:
    keep = shelf.site.sample.spec.etcd.snapshots.keep
    run = shelf.run("cp1")
    for _ in range(keep + 1):
        SaveSnapshot(reason="by hand").run(run)
    kept = [path for path, at in shelf.site.hosts["cp2"].state.paths.items() if at and path.endswith("snapshot.json")]
    assert len(kept) == keep


def test_what_arrives_damaged_is_no_copy(shelf: Shelf) -> None:
    run = shelf.run("cp1")
    action = SaveSnapshot(reason="by hand")
    shelf.damages.add("cp2")
    action.run(run)
    (snapshot,) = taken(run.context).values()
    assert shelf.keepers(snapshot) == ["cp1", "cp3"]


def test_an_upgrade_that_is_gone_on_with_takes_no_second_one(shelf: Shelf) -> None:
    action = SaveSnapshot(reason="before upgrade to 1.36.3", unless_done_by="upgrade-1.35.4-1.36.3")
    action.run(shelf.run("cp1"))
    assert action.plan(shelf.run("cp1")) == []
    again = shelf.run("cp1")
    assert action.run(again) == []
    assert taken(again.context)["upgrade-1.35.4-1.36.3"].reason == "before upgrade to 1.36.3"
    assert SaveSnapshot(reason="r", unless_done_by="another").plan(shelf.run("cp1"))
    assert shelf.number == 1


@pytest.mark.parametrize(("reason", "key"), [('say "so"', None), ("", None), ("a\nb", None), ("fine", "$(x)")])
def test_words_that_cannot_stand_beside_a_snapshot(reason: str, key: str | None) -> None:
    with pytest.raises(InputError, match="1 problem"):
        SaveSnapshot(reason=reason, unless_done_by=key)


def test_nobody_serves(shelf: Shelf) -> None:
    shelf.etcd.down = {"cp1", "cp2"}
    with pytest.raises(UnfitHost, match="no member of etcd serves") as raised:
        SaveSnapshot(reason="r").plan(shelf.run("cp1"))
    assert raised.value.remedy == "take it out of the data of one: --from cp1"
    assert SaveSnapshot(reason="r").plan(shelf.run("cp2")) == [], "it is said once"


def test_the_data_of_a_member_that_does_not_serve(shelf: Shelf) -> None:
    """It is ended in order, copied, and what ran it runs again."""
    shelf.etcd.lose("cp2", "cp3")
    run = shelf.run("cp1", variables={SNAPSHOT_FROM: "cp1"})
    (change,) = SaveSnapshot(reason="r").plan(run)
    assert "copied from this member's data, while it is stopped for a moment" in change.why
    SaveSnapshot(reason="r").run(run)
    (snapshot,) = taken(run.context).values()
    assert snapshot.source == "data"
    assert shelf.site.hosts["cp1"].state.units["kubelet.service"].active == "active"
    stops = [line for one in shelf.site.hosts["cp1"].changes for line in one.lines if "kubelet" in line]
    assert stops == ["systemctl stop -- kubelet.service", "systemctl start -- kubelet.service"]


def test_a_host_that_has_no_member_is_told_once(shelf: Shelf) -> None:
    given = {SNAPSHOT_FROM: "cp9"}
    with pytest.raises(InputError) as raised:
        SaveSnapshot(reason="r").plan(shelf.run("cp1", variables=given))
    assert "cp9 is no host of etcd; these are: cp1, cp2, cp3" in raised.value.evidence[0]
    assert SaveSnapshot(reason="r").plan(shelf.run("cp2", variables=given)) == []


def test_a_member_without_data_has_nothing_to_give(shelf: Shelf) -> None:
    shelf.etcd.lose("cp2")
    shelf.site.hosts["cp2"].overlay(Observation(paths={ETCD_MEMBER: None}))
    with pytest.raises(UnfitHost, match="does not serve, and has no data"):
        SaveSnapshot(reason="r").plan(shelf.run("cp2", variables={SNAPSHOT_FROM: "cp2"}))


def test_what_says_nothing_of_itself_is_no_snapshot(shelf: Shelf) -> None:
    shelf.site.hosts["cp1"].commands._taken = lambda _: Completed(0, b"{}")
    with pytest.raises(OperationFailed, match="does not say what it is"):
        SaveSnapshot(reason="r").run(shelf.run("cp1"))


def test_external_etcd_and_the_control_planes_keys(site: Make, tmp_path: Path) -> None:
    """No host gets a key that it does not hold: control planes keep theirs under the snapshot's name."""
    shelf = Shelf(site(etcd_hosts=3), etcd.service, ("e1", "e2", "e3"))
    run = shelf.run("e1")
    SaveSnapshot(reason="by hand").run(run)
    (snapshot,) = taken(run.context).values()
    assert shelf.keepers(snapshot) == ["cp1", "e1", "e2", "e3"]
    kept = shelf.site.hosts["cp1"].file(f"{folder(snapshot.name)}/pki.tar").decode().split()
    assert "/etc/kubernetes/pki/sa.key" in kept
    assert "/etc/kubernetes/pki/etcd/ca.key" not in kept
    SnapshotFetched(to=str(tmp_path / "out")).run(run)
    place = tmp_path / "out" / snapshot.name
    assert sorted(one.name for one in place.iterdir()) == ["pki-cp1.tar", "pki.tar", "snapshot.db", "snapshot.json"]


def test_a_copy_on_the_operators_disk(shelf: Shelf, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    run = shelf.run("cp1", variables={SNAPSHOT_TO: str(to)})
    (action,) = fetched(run.context)
    assert [change.why for change in action.plan(run)] == [f"is copied to {to} on this machine"]
    assert action.plan(shelf.run("cp2", begin=False)) == []
    SaveSnapshot(reason="by hand").run(run)
    action.run(run)
    (place,) = to.iterdir()
    assert [path.stat().st_mode & 0o777 for path in (to, place)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
    assert json.loads((place / "snapshot.json").read_text())["name"] == place.name
    assert list(fetched(shelf.run("cp1").context)) == []


def test_the_task_is_for_hosts_of_etcd(shelf: Shelf) -> None:
    assert list(save(shelf.run("w1").context)) == []
    said = shelf.run("cp1", variables={REASON: "because"}).context
    assert list(save(said)) == [SaveSnapshot(reason="because")]
    named = list(save(shelf.run("cp1").context, reason="before upgrade", unless_done_by="u1"))
    assert named == [SaveSnapshot(reason="before upgrade", unless_done_by="u1")]


def test_a_timer_is_set_up_and_goes_again(site: Make) -> None:
    made = site(control_planes=1, workers=1)
    titles = made.apply("cp1", schedule)
    assert titles[-1] == "unit kubeforge-etcd-snapshot.timer"
    assert made.apply("cp1", schedule) == []
    assert made.apply("w1", schedule) == []
    timer = made.hosts["cp1"].file("/etc/systemd/system/kubeforge-etcd-snapshot.timer").decode()
    assert "OnCalendar=*-*-* 00/12:00:00\n" in timer
    none = site(control_planes=1, workers=1, etcd={"snapshots": {"schedule": None}})
    assert none.apply("cp1", schedule) == []
    none.hosts = made.hosts
    gone = none.apply("cp1", schedule)
    assert gone[0] == "unit kubeforge-etcd-snapshot.timer"
    assert none.apply("cp1", schedule) == []
