"""What hosts remember of an upgrade: once, before all else, and until it has arrived. On hosts in memory."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.errors import ApiUnavailable
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import UPGRADE, UPGRADE_FINISHED, UPGRADE_SERVED
from kubeforge.spec.upgrading import Record, read_finished, read_record
from kubeforge.tasks import parking, upgrade_record
from kubeforge.tasks.upgrade_record import WHOLE, Remembered, SnapshotBefore, begin, finish, snapshot
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import Make, talk
from tests.unit.tasks.upgrade_site import NEW, OLD, ROLL, Upgrading

Q = Queries(reads=(UPGRADE, UPGRADE_FINISHED))


@pytest.fixture
def upgrading(site: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    return lambda **values: Upgrading(site, **values)


def record_of(cluster: Upgrading, name: str) -> Record | None:
    return read_record(cluster.made.hosts[name].observe(Q).contents.get(UPGRADE))


def test_a_cluster_that_is_as_it_shall_be_remembers_nothing(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.go(OLD)
    for name in cluster.names:
        assert cluster.ask(name, begin, snapshot, finish, **{WHOLE: "yes"}) == []


def test_each_host_remembers_its_own_last_generation(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.go(NEW)
    assert cluster.run("w1", begin, run_id="up") == [f"file {UPGRADE}"]
    record = record_of(cluster, "w1")
    assert record is not None
    assert (record.old, record.new, record.base) == (OLD, NEW, 1)
    assert record.brings == (f"node/image:{NEW}",), "what was there before is not counted"


def test_where_nobody_tells_which_images_there_were_none_is_taken_away_later(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.made.hosts["w1"].commands[("sh",)] = Completed(0)
    cluster.go(NEW)
    cluster.run("w1", begin)
    record = record_of(cluster, "w1")
    assert record is not None
    assert record.brings == ()


def test_a_run_that_goes_on_keeps_the_first_beginning(upgrading: Make) -> None:
    """Also with another version in mind: what is gone back to is what ran before all of it."""
    cluster = upgrading()
    cluster.go(NEW)
    cluster.run("w1", begin, run_id="one")
    first = record_of(cluster, "w1")
    assert cluster.run("w1", begin, run_id="two") == []
    cluster.go("1.36.4")
    cluster.run("w1", begin, run_id="three")
    second = record_of(cluster, "w1")
    assert first is not None
    assert second is not None
    assert (second.old, second.base, second.begun, second.new) == (OLD, first.base, first.begun, "1.36.4")
    assert set(first.brings) < set(second.brings)


def test_it_has_arrived_when_a_run_about_all_hosts_ends(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.upgrade(NEW)
    assert UPGRADE_FINISHED not in cluster.made.hosts["cp1"].state.paths, "it was about some hosts"
    cluster.run("cp1", finish, run_id="all", upgrade_target="1.37.0", **{WHOLE: "yes"})
    assert UPGRADE_FINISHED not in cluster.made.hosts["cp1"].state.paths, "there is another step"
    cluster.run("cp1", finish, run_id="all", **{WHOLE: "yes"})
    seen = cluster.made.hosts["cp1"].observe(Q).contents
    mark, record = read_finished(seen[UPGRADE_FINISHED]), read_record(seen[UPGRADE])
    assert mark is not None
    assert record is not None
    assert mark.begun == record.begun
    assert cluster.ask("cp1", begin, finish, **{WHOLE: "yes"}) == []


def test_the_next_one_begins_anew(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    first = record_of(cluster, "cp1")
    cluster.upgrade("1.36.4")
    second = record_of(cluster, "cp1")
    assert first is not None
    assert second is not None
    assert (second.old, second.new) == (NEW, "1.36.4")
    assert second.base > first.base


def test_a_host_is_behind_also_by_its_programs_alone(upgrading: Make) -> None:
    """A run of `apply` that was cut off: control planes are new, and this worker is not."""
    cluster = upgrading()
    cluster.upgrade(NEW, ["cp1"], **{WHOLE: "yes"})
    assert cluster.ask("w1", begin) != []
    cluster.run("w1", *ROLL)
    assert cluster.ask("w1", begin) == []


def test_one_snapshot_for_each_upgrade(upgrading: Make) -> None:
    """All hosts of etcd name it alike, and a run that goes on finds it."""
    cluster = upgrading(control_planes=3)
    cluster.go(NEW)
    keys = set()
    for name in cluster.planes:
        (action,) = cluster.ask(name, snapshot)
        assert isinstance(action, SnapshotBefore)
        assert action.save.reason == f"before the upgrade to {NEW}"
        assert action.save.unless_done_by == action.key
        keys.add(action.key)
    for name in cluster.planes:
        cluster.run(name, begin)
    cluster.go(NEW)
    keys |= {item.key for item in cluster.ask("cp2", snapshot) if isinstance(item, SnapshotBefore)}
    assert len(keys) == 1
    assert cluster.ask("w1", snapshot) == []


def test_what_the_api_served_is_remembered_once(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = upgrading()
    cluster.go(NEW)
    asked: list[int] = []
    monkeypatch.setattr(upgrade_record, "own_api_of", lambda _run: None)

    def served(_api: Any) -> set[str]:
        asked.append(1)
        return {"v1/pods", "apps/v1/deployments"}

    monkeypatch.setattr(upgrade_record, "served", served)
    action, run = Remembered(begun=7), talk(cluster.made, "cp1")
    assert [change.title for change in action.plan(run)] == ["upgrade.served"]
    action.run(run)
    assert cluster.made.hosts["cp1"].file(UPGRADE_SERVED) == b"# upgrade of 7\napps/v1/deployments\nv1/pods\n"
    assert action.plan(run) == []
    assert Remembered(begun=8).plan(run), "another upgrade's says nothing"
    assert len(asked) == 1


def test_only_an_api_server_of_the_old_minor_tells_what_it_served(upgrading: Make) -> None:
    """A run that was cut off and gone on with might ask one that is new by now."""
    cluster = upgrading(control_planes=3)
    cluster.upgrade(NEW, ["cp1"])
    cluster.go(NEW)
    assert [item.title for item in cluster.ask("cp1", begin)] == [f"file {UPGRADE}"]
    assert [item.title for item in cluster.ask("cp2", begin)] == [f"file {UPGRADE}", "upgrade.served"]


def test_an_api_that_is_silent_does_not_stop_an_upgrade(upgrading: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = upgrading()

    def silent(_run: Any) -> Any:
        raise ApiUnavailable("nobody answers")

    monkeypatch.setattr(upgrade_record, "own_api_of", silent)
    assert Remembered(begun=7).run(talk(cluster.made, "cp1")) == []
    assert UPGRADE_SERVED not in cluster.made.hosts["cp1"].state.paths
