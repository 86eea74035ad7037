"""Restores on hosts in memory: what is refused, what is lost, every step, every place where a run can be cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.snapshot_copies import fetch
from kubeforge.cluster.snapshots import Snapshot, database, folder
from kubeforge.engine.model import Action
from kubeforge.errors import InputError, KubeforgeError, UnfitHost
from kubeforge.operations.model import Entry
from kubeforge.spec.paths import ETCD_LAST_RESTORE, ETCD_RESTORE
from kubeforge.spec.skew import snapshot_problem
from kubeforge.tasks import etcd, etcd_data, etcd_members, restore
from kubeforge.tasks.restoration import SNAPSHOT, restoration
from kubeforge.tasks.restore import Brought, Restored
from tests.unit.tasks.memory_snapshots import CA, Shelf

Make = Callable[..., Any]
LEAP = 1_000_000_000
STEPS = (restore.bring, restore.stop, restore.make, restore.start, restore.kubelet, restore.end)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come true in a dictionary at once never does."""
    for module, name in ((etcd_members, "ETCD_DEADLINE"), (etcd_data, "ETCD_DEADLINE"), (restore, "ETCD_DEADLINE")):
        monkeypatch.setattr(module, name, 0.4)
    monkeypatch.setattr(etcd_members, "ETCD_TURN_DEADLINE", 0.2)
    monkeypatch.setattr(restore, "COMPONENT_DEADLINE", 0.4)


@pytest.fixture(params=["stacked", "service"])
def shelf(request: pytest.FixtureRequest, site: Make) -> Shelf:
    if request.param == "stacked":
        return Shelf(site(control_planes=3, workers=1))
    return Shelf(site(etcd_hosts=3, workers=1), etcd.service, ("e1", "e2", "e3"))


def actions(shelf: Shelf, name: str, *, run_id: str = "r2") -> Iterator[tuple[str, Action, Any]]:
    """Yield host, action, run: step by step over all hosts, as the playbook has them."""
    shelf.site.begin()
    for step in STEPS:
        mine = [(host, one) for host in shelf.site.hosts for one in step(shelf.run(host, begin=False).context)]
        for host, action in sorted(mine, key=lambda pair: isinstance(pair[1], Restored)):  # hosts start side by side
            yield host, action, shelf.run(host, begin=False, run_id=run_id, variables={SNAPSHOT: name})


def restored(shelf: Shelf, name: str, *, stop_after: int | None = None, run_id: str = "r2") -> list[str]:
    """Carry a restore out, up to a step; return what was done."""
    done = []
    for number, (host, action, run) in enumerate(actions(shelf, name, run_id=run_id)):
        if number == stop_after:
            break
        done += [f"{host} {change.title}" for change in action.run(run)]
    return done


def refused(shelf: Shelf, name: str) -> KubeforgeError:
    with pytest.raises(KubeforgeError) as raised:
        Brought().plan(shelf.run(shelf.names[0], variables={SNAPSHOT: name}))
    return raised.value


def lose_all(shelf: Shelf) -> None:
    shelf.etcd.lose(*shelf.names)
    shelf.etcd.down = set()


def pass_to_all(shelf: Shelf, snapshot: Snapshot) -> None:
    for name in shelf.names:
        for file in ("snapshot.db", "pki.tar", "snapshot.json"):
            path = f"{folder(snapshot.name)}/{file}"
            shelf.site.hosts[name].put(path, shelf.site.hosts[snapshot.host].file(path))


def test_all_data_lost(shelf: Shelf) -> None:
    first, second, third = shelf.names
    snapshot = shelf.take(second)
    lose_all(shelf)
    run = shelf.run(first, variables={SNAPSHOT: snapshot.name})
    told = [change.why for change in Brought().plan(run)]
    back = f"etcd goes back to revision 7 of 2026-11-22T19:45:00Z ({snapshot.name}, by hand)"
    lost = "what was written since is lost: how much, nobody can tell"
    assert told == [f"{back}; {lost}", f"{snapshot.name} is copied here from {second}"]
    done = restored(shelf, snapshot.name)
    assert f"{first} restore.serves" in done
    assert shelf.etcd.revision == LEAP
    assert shelf.etcd.serves()
    assert [host for host, _, _ in shelf.made] == list(shelf.names)
    marks = {mark for _, mark, _ in shelf.made}
    (mark,) = marks
    flags = shelf.made[2][2]
    members = ",".join(f"{name}=https://{shelf.etcd.addresses[name]}:2380" for name in shelf.names)
    assert flags == (
        f"--name {third} --initial-cluster {members} --initial-advertise-peer-urls "
        f"https://{shelf.etcd.addresses[third]}:2380 --initial-cluster-token {mark} --bump-revision {LEAP - 7} "
        "--mark-compacted"
    )
    for host in (*shelf.names, "cp1"):
        assert ETCD_RESTORE not in [path for path, at in shelf.site.hosts[host].state.paths.items() if at]
        assert json.loads(shelf.site.hosts[host].file(ETCD_LAST_RESTORE))["revision"] == LEAP
    assert ("systemctl", "restart", "--", "kubelet.service") in shelf.site.hosts["w1"].ran
    assert shelf.keepers(snapshot) == list(shelf.names)


def test_everything_stops_before_anything_is_made_anew(shelf: Shelf) -> None:
    """And nothing of the old data is removed."""
    snapshot = shelf.take(shelf.names[0])
    done = restored(shelf, snapshot.name)
    stops = [number for number, title in enumerate(done) if title.endswith("restore.stop")]
    makes = [number for number, title in enumerate(done) if title.endswith("restore.data")]
    starts = [number for number, title in enumerate(done) if title.endswith("restore.start")]
    assert max(stops) < min(makes) <= max(makes) < min(starts)
    for name in shelf.names:
        assert isinstance(shelf.site.hosts[name].state.paths["/var/lib/etcd/member.before-r2"], Entry)
    planes = {host.name for host in shelf.site.sample.inventory.control_planes}
    assert {title.split()[0] for title in done if title.endswith("restore.stop")} == {*planes, *shelf.names}


def test_what_is_lost_is_said(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0])
    shelf.etcd.revision = 1207
    run = shelf.run(shelf.names[0], variables={SNAPSHOT: "latest"})
    (change,) = Brought().plan(run)
    assert change.why.endswith("it is at 1207: what 1200 revisions since then wrote is lost")
    assert restoration(run).snapshot == snapshot
    assert (
        Brought()
        .plan(shelf.run(shelf.names[1], begin=False, variables={SNAPSHOT: "latest"}))[0]
        .why.startswith(f"{snapshot.name} is copied here")
    )
    assert shelf.made == []
    assert not any(command[0] == "rm" for host in shelf.site.hosts.values() for command in host.ran)


@pytest.mark.parametrize("place", range(1, 25))
def test_a_run_that_was_cut_off_is_gone_on_with(site: Make, place: int) -> None:
    """After any number of steps: the second run makes only what is not made yet, under the same name."""
    shelf = Shelf(site(control_planes=3, workers=1))
    snapshot = shelf.take("cp1")
    lose_all(shelf)
    restored(shelf, snapshot.name, stop_after=place)
    before = list(shelf.made)
    shelf.site.begin()
    run = shelf.run("cp1", variables={SNAPSHOT: snapshot.name})
    unfinished = any(shelf.site.hosts[name].state.paths.get(ETCD_RESTORE) for name in shelf.names)
    assert restoration(run).resumed == unfinished
    restored(shelf, snapshot.name, run_id="r3")
    assert shelf.etcd.serves()
    assert {mark for _, mark, _ in shelf.made} == {mark for _, mark, _ in before} or not before or not unfinished
    if unfinished:
        assert [host for host, _, _ in shelf.made] == ["cp1", "cp2", "cp3"], "no data are made twice"


def test_there_are_as_many_places_as_were_tried(site: Make) -> None:
    shelf = Shelf(site(control_planes=3, workers=1))
    snapshot = shelf.take("cp1")
    assert len(list(actions(shelf, snapshot.name))) == 24


def test_an_older_one_after_a_newer_one_shows_no_revision_twice(shelf: Shelf) -> None:
    """Also where all data are gone by then: the last restore was written down."""
    older = shelf.take(shelf.names[0])
    restored(shelf, older.name)
    assert shelf.etcd.revision == LEAP
    lose_all(shelf)
    restored(shelf, older.name, run_id="r3")
    assert shelf.etcd.revision == 2 * LEAP


def test_half_a_restore_keeps_apply_from_going_on(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0])
    restored(shelf, snapshot.name, stop_after=7)
    with pytest.raises(UnfitHost, match="being restored, and that was cut off") as raised:
        list(etcd.quorum(shelf.site.context(shelf.names[0], etcd.quorum)))
    assert raised.value.remedy == f"go on with it: kubeforge etcd snapshot restore {snapshot.name}"


def test_another_cluster_is_refused_with_all_reasons(shelf: Shelf) -> None:
    changes: dict[str, Any] = {
        "cluster": "other",
        "kubernetes": "1.37.0",
        "etcd": "3.7.0",
        "authorities": {CA: "0" * 64, "/etc/no": "1"},
        "members": {"members": [{"name": "x", "peerURLs": ["https://192.0.2.99:2380"]}]},
    }
    error = refused(shelf, shelf.take(shelf.names[0], **changes).name)
    assert isinstance(error, UnfitHost)
    assert "nothing was touched" in error.cause
    said = "\n".join(error.evidence)
    for reason in (
        "etcd 3.6.16 cannot be relied on to read what etcd 3.7.0 has stored",
        "Kubernetes 1.36.3 cannot be relied on",
        "the hosts of etcd have changed: it is of x (https://192.0.2.99:2380)",
        "it is of cluster other, and this one is demo",
        f"{shelf.names[2]}: not what it was when the snapshot was taken: {CA}",
        f"{shelf.names[0]}: missing, and in the snapshot's pki.tar: /etc/no",
    ):
        assert reason in said
    assert Brought().plan(shelf.run(shelf.names[1], variables={SNAPSHOT: "latest"})) == [], "it is said once"


def test_a_damaged_one_is_refused_unless_another_copy_is_whole(shelf: Shelf) -> None:
    first, second, _ = shelf.names
    snapshot = shelf.take(first)
    whole = shelf.site.hosts[first].file(database(snapshot.name))
    pass_to_all(shelf, snapshot)
    for name in shelf.names:
        shelf.site.hosts[name].put(database(snapshot.name), b"damaged")
    assert "it is damaged" in refused(shelf, snapshot.name).evidence[0]
    shelf.site.hosts[second].put(database(snapshot.name), whole)
    lose_all(shelf)
    restored(shelf, snapshot.name)
    assert all(shelf.site.hosts[name].file(database(snapshot.name)) == whole for name in shelf.names)


def test_no_such_snapshot(shelf: Shelf) -> None:
    there = shelf.take(shelf.names[0])
    error = refused(shelf, "20200101T000000.000Z-asked-cp1")
    assert error.remedy == f"the newest that are kept: {there.name}"
    assert isinstance(refused(shelf, ""), InputError)
    assert "is no snapshot" in refused(shelf, "/nowhere/at/all").evidence[0]


def test_too_little_room(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0])
    shelf.free = 3
    error = refused(shelf, snapshot.name)
    assert "too little room" in error.cause


def test_a_copy_on_the_operators_disk(shelf: Shelf, tmp_path: Path) -> None:
    """The hosts keep none any more."""
    snapshot = shelf.take(shelf.names[0])
    place = fetch(shelf.site.hosts[shelf.names[0]], snapshot, tmp_path)
    gone = [path for path in shelf.site.hosts[shelf.names[0]].state.paths if snapshot.name in path]
    for path in gone:
        shelf.site.hosts[shelf.names[0]].run(["rm", "-rf", path])
    lose_all(shelf)
    restored(shelf, str(place))
    assert shelf.etcd.serves()
    assert shelf.keepers(snapshot) == list(shelf.names)
    (place / "snapshot.db").write_bytes(b"damaged")
    assert "has the digest" in refused(shelf, str(place)).evidence[0]


def test_data_that_were_copied_have_no_hash_of_etcds_own(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0], ("asked", "r", "", "/var/lib/etcd/member/snap/db"))
    restored(shelf, snapshot.name)
    assert all(flags.endswith("--mark-compacted --skip-hash-check") for _, _, flags in shelf.made)


def test_notes_that_are_none_are_passed_over(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0])
    for name, note in zip(shelf.names, (b"", b"[1]", b'{"revision":"x"}'), strict=True):
        shelf.site.hosts[name].put(ETCD_RESTORE, note)
    run = shelf.run(shelf.names[0], variables={SNAPSHOT: snapshot.name})
    assert not restoration(run).resumed
    assert replace(restoration(run), resumed=True).lost.endswith("goes on with a restore that was cut off")


@pytest.mark.parametrize(
    ("taken", "running", "good"),
    [
        ("3.6.16", "3.6.16", True),
        ("3.6.17", "3.6.16", True),
        ("3.5.30", "3.6.16", True),
        ("3.7.0", "3.6.16", False),
        ("3.5.30", "3.7.0", False),
    ],
)
def test_who_reads_what(taken: str, running: str, good: bool) -> None:
    assert (snapshot_problem("etcd", taken, running) is None) == good


def whys(changes: Sequence[Any]) -> list[str]:
    return [change.why for change in changes]


def test_the_plan_names_every_step(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0])
    planned = [why for _, action, run in actions(shelf, snapshot.name) for why in whys(action.plan(run))]
    for words in (
        "stop; pods go on",
        "is kept as /var/lib/etcd/member.before-*",
        "wait for etcd",
        "the restore is over",
    ):
        assert any(words in why for why in planned), words
    assert shelf.made == []
