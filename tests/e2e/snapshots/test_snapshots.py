"""Snapshots by hand and by schedule, all data lost, quorum lost, a restore that is killed everywhere. In order.

A client writes numbered ConfigMaps: every one that was acknowledged before a snapshot must be there after its restore.
"""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.test_changing import respec
from tests.e2e.snapshots.conftest import SNAPSHOTS, Shelf

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TIMER = "kubeforge-etcd-snapshot.timer"
KEYS = "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt " + " ".join(
    f"--{one}=/etc/kubernetes/pki/etcd/healthcheck-client.{end}" for one, end in (("cert", "crt"), ("key", "key"))
)
LEAP = 1_000_000_000


def test_hosts_take_them_by_themselves(shelf: Shelf) -> None:
    for host in shelf.members:
        assert shelf.forge.sh(host, f"systemctl is-enabled {TIMER}; systemctl is-active {TIMER}").split() == [
            *("enabled", "active")
        ]
        shelf.forge.sh(host, "systemctl start kubeforge-etcd-snapshot.service")
    found = shelf.snapshots()
    assert sorted(one["host"] for one in found) == shelf.members
    assert {one["kind"] for one in found} == {"scheduled"}
    modes = shelf.forge.sh(shelf.members[0], f"find {SNAPSHOTS} -mindepth 1 ! -name .lock -printf '%y %m %u\\n'")
    assert set(modes.splitlines()) == {"d 700 root", "f 600 root"}
    shelf.forge.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_no_host_gets_a_key_it_has_not(shelf: Shelf) -> None:
    made = shelf.save("--reason", "keys")
    assert made["kept_on"] == shelf.members
    for host in {*shelf.members, *shelf.forge.planes}:
        packed = shelf.forge.sh(host, f"tar -tf {SNAPSHOTS}/{made['name']}/pki.tar").split()
        there = shelf.forge.sh(host, "cd /; find etc/kubernetes/pki -name '*.key'").split()
        assert {one for one in packed if one.endswith(".key")} <= set(there)
        assert ("etc/kubernetes/pki/sa.key" in packed) == (host in shelf.forge.planes)


def test_old_ones_go(shelf: Shelf) -> None:
    before = respec(shelf.forge, lambda data: data.update(etcd={**data.get("etcd", {}), "snapshots": {"keep": 2}}))
    try:
        shelf.forge.apply().check(0)
        first = shelf.save("--reason", "first")
        shelf.save("--reason", "second")
        shelf.save("--reason", "third")
        names = [one["name"] for one in shelf.snapshots() if shelf.members[0] in one["kept_on"]]
        assert first["name"] not in names
    finally:
        (shelf.forge.inventory / "cluster.yml").write_text(before)
    shelf.forge.apply().check(0)


def test_members_and_status(shelf: Shelf) -> None:
    told = json.loads(shelf.forge.run("etcd status", "-o", "json").check(0).out)
    assert [one["host"] for one in told["members"]] == shelf.members
    assert sum(one["leader"] for one in told["members"]) == 1
    shelf.forge.run("etcd status").check(0, "3 of 3 members serve; etcd can do without 1 of them")
    listed = shelf.forge.run("etcd members").check(0, "leader", "voter")
    assert all(host in listed.out for host in shelf.members)


def test_all_data_lost(shelf: Shelf) -> None:
    """And more is written after the snapshot, which is lost: the plan said so."""
    keys = shelf.write()
    made = shelf.save()
    shelf.write()
    shelf.lose(*shelf.members)
    told = shelf.forge.run("etcd snapshot status", made["name"], "-o", "json").check(0)
    assert set(json.loads(told.out)["copies"].values()) == {True}
    shelf.restore(made["name"])
    shelf.proves(keys)
    status = json.loads(shelf.forge.run("etcd status", "-o", "json").check(0).out)
    assert min(one["revision"] for one in status["members"]) >= LEAP
    for host in shelf.members:
        shelf.forge.sh(host, "test ! -e /var/lib/kubeforge/etcd-restore; ls -d /var/lib/etcd/member.before-* || true")


def test_nothing_was_lost_and_somebody_wants_to_go_back(shelf: Shelf) -> None:
    """The plan counts what is lost; old data are kept; the revision goes on further than ever before."""
    keys = shelf.write()
    made = shelf.save()
    lost = shelf.write()
    before = json.loads(shelf.forge.run("etcd status", "-o", "json").check(0).out)["members"][0]["revision"]
    shelf.forge.run("etcd snapshot restore", "latest", "--yes").check(0, "revisions since then wrote is lost")
    shelf.proves(keys)
    assert not set(lost) & shelf.forge.written()
    after = json.loads(shelf.forge.run("etcd status", "-o", "json").check(0).out)["members"][0]["revision"]
    assert after > before
    assert made["name"] in [one["name"] for one in shelf.snapshots()]
    for host in shelf.members:
        assert "member.before-" in shelf.forge.sh(host, "ls /var/lib/etcd")


def test_lost_quorum_and_one_whole_member(shelf: Shelf) -> None:
    """Every acknowledged key is there, also those of its last moments: it is ended in order before it is copied."""
    keys = shelf.write()
    first, *others = shelf.members
    shelf.lose(*others)
    wait_until(lambda: shelf.forge.run("etcd status").code == 1)
    shelf.forge.run("etcd snapshot save", "--from", first).check(0, "copied from this member's data")
    shelf.restore("latest")
    shelf.proves(keys)


def test_a_copy_on_the_operators_disk(shelf: Shelf, tmp_path: Path) -> None:
    """The hosts keep no snapshot any more, and have no data."""
    keys = shelf.write()
    made = shelf.save("--to", str(tmp_path / "backups"))
    place = tmp_path / "backups" / made["name"]
    assert place.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o600}
    for host in shelf.members:
        shelf.forge.sh(host, f"rm -rf {SNAPSHOTS}/*")
    shelf.lose(*shelf.members)
    shelf.restore(str(place))
    shelf.proves(keys)


def test_killed_at_every_step_and_gone_on_with(shelf: Shelf) -> None:
    """One restore that is killed again and again, each time one step further on, and refused to `apply` in between."""
    keys = shelf.write()
    made = shelf.save()
    for host in shelf.members:  # so that something is to be brought
        if host != made["host"]:
            shelf.forge.sh(host, f"rm -rf {SNAPSHOTS}/{made['name']}")
    shelf.lose(*shelf.members)
    first, *_, last = shelf.members
    plane = shelf.forge.planes[0]
    for host, step in [
        (first if made["host"] != first else last, "restore.bring"),
        (first, "restore.stop"),
        (last, "restore.stop"),
        (first, "restore.data"),
        (last, "restore.data"),
        (first, "restore.start"),
        (first, "restore.serves"),
        (plane, "restore.kubelet"),
        (plane, "control_plane.ready"),
        (plane, "node"),
        (first, "restore.end"),
    ]:
        with shelf.begun(made["name"]) as run:
            run.until(partial(run.step, "StepStarted", host, step), within=240)
            run.send(signal.SIGKILL)
            run.child.wait(10)
        if step == "restore.serves":
            said = shelf.forge.apply().check(12, "Nothing was done")
            said.names(first, "etcd.quorum", "being restored", f"kubeforge etcd snapshot restore {made['name']}")
    shelf.restore(made["name"])
    shelf.proves(keys)


def test_what_was_written_since_it_serves_again_is_kept(shelf: Shelf) -> None:
    """Killed when the API serves already: the second run makes no data anew."""
    made = shelf.save()
    with shelf.begun(made["name"]) as run:
        run.until(lambda: run.step("StepStarted", "w1", "node"), within=240)
        run.send(signal.SIGKILL)
        run.child.wait(10)
    wait_until(lambda: shelf.forge.run("kubectl", "--", "get", "--raw", "/readyz").code == 0)
    shelf.forge.kubectl("create", "configmap", "written-late")
    shelf.restore(made["name"])
    assert "written-late" in shelf.forge.written()


def test_a_host_that_dies_meanwhile(shelf: Shelf) -> None:
    keys = shelf.write()
    made = shelf.save()
    shelf.lose(*shelf.members)
    second = shelf.members[1]
    with shelf.begun(made["name"]) as run:
        run.until(lambda: run.step("StepStarted", second, "restore.data"), within=240)
        shelf.forge.lab.host(second).kill()
        run.ended()
    shelf.forge.lab.host(second).start()
    shelf.restore(made["name"])
    shelf.proves(keys)


def test_what_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    made = shelf.save()
    first = shelf.members[0]
    about = f"{SNAPSHOTS}/{made['name']}/snapshot.json"
    text = shelf.forge.sh(first, f"cat {about}")
    doctored = json.loads(text)
    faults: dict[str, dict[str, Any]] = {
        "it is of cluster another": {"cluster": "another"},
        "has stored: it is older": {"etcd": "3.9.0", "kubernetes": "1.99.0"},
        "not what it was when the snapshot": {"authorities": dict.fromkeys(doctored["authorities"], "0" * 64)},
        "it is damaged": {"sha256": "0" * 64},
        "the hosts of etcd have changed": {"members": {"members": [{"name": "x", "peerURLs": ["https://x:2380"]}]}},
    }
    for said, change in faults.items():
        for host in shelf.members:
            changed = json.dumps({**doctored, **change})
            shelf.forge.sh(host, f"cat >{about} <<'E'\n{changed}\nE")
        told = shelf.forge.run("etcd snapshot restore", made["name"], "--yes").check(12, "nothing was touched", said)
        assert told.text.count("cannot be restored here") == 1, "it is said once"
    for host in shelf.members:
        shelf.forge.sh(host, f"cat >{about} <<'E'\n{text}\nE")
    shelf.forge.run("etcd snapshot restore", "20200101T000000.000Z-asked-x", "--yes").check(12, "no host of etcd keeps")
    shelf.forge.run("etcd snapshot restore", str(tmp_path), "--yes").check(10, "is no snapshot")
    shelf.forge.run("etcd snapshot restore", made["name"], "--yes", "--limit", first).check(64, "no --limit")
    shelf.forge.sh(first, f"printf x | dd of={SNAPSHOTS}/{made['name']}/snapshot.db bs=1 seek=5000 conv=notrunc")
    shelf.forge.run("etcd snapshot status", made["name"]).check(1, f"copy on {first}", "DAMAGED")
    shelf.forge.until_good()  # not at the first look: one answer of DNS may be late
    shelf.forge.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_a_member_that_is_away_keeps_no_copy(shelf: Shelf) -> None:
    third = shelf.members[2]
    shelf.forge.lab.host(third).kill()
    try:
        said = shelf.forge.run("etcd snapshot save", "-e", "ansible_timeout=2")
        said.check(11)
        assert shelf.snapshots()[-1]["kept_on"] == shelf.members[:2]
    finally:
        shelf.forge.lab.host(third).start()
    shelf.forge.until_good(120)


def test_defrag(shelf: Shelf) -> None:
    first = shelf.members[0]
    shelf.forge.sh(
        first,
        f"head -c 500000 /dev/zero | tr '\\0' x >/run/value; i=0; while [ $i -lt 60 ]; do i=$((i+1)); "
        f"{KEYS} put filler </run/value >/dev/null; done; rm /run/value; {KEYS} del filler >/dev/null; "
        f"{KEYS} compact $({KEYS} endpoint status -w json | sed 's/.*\"revision\":\\([0-9]*\\).*/\\1/')",
    )
    before = json.loads(shelf.forge.run("etcd status", "-o", "json").out)["members"]
    leader = next(one["host"] for one in before if one["leader"])
    shelf.forge.run("etcd defrag", "--yes").check(0, "leads, so it is the last")
    after = json.loads(shelf.forge.run("etcd status", "-o", "json").check(0).out)["members"]
    assert max(one["size"] for one in after) < min(one["size"] for one in before) / 2
    events = [json.loads(line) for line in (shelf.forge.runs()[-1] / "events.jsonl").read_text().splitlines()]
    order = [one["title"].split()[-1] for one in events if one.get("title", "").startswith("etcd.defrag ")]
    assert sorted(order) == shelf.members
    assert order[-1] == leader
    shelf.forge.run("etcd defrag", "--yes").check(0, "No changes.")


def test_no_schedule_and_a_reset(shelf: Shelf) -> None:
    off = {"snapshots": {"schedule": None}}
    respec(shelf.forge, lambda data: data.update(etcd={**data.get("etcd", {}), **off}))
    shelf.forge.apply().check(0)
    for host in shelf.members:
        assert "not-found" in shelf.forge.sh(host, f"systemctl show -P LoadState {TIMER}")
        assert shelf.forge.sh(host, f"ls {SNAPSHOTS}").split(), "what is there stays"
    shelf.forge.run("reset", "--yes").check(0)
    for host in shelf.members:
        shelf.forge.sh(host, "test ! -e /var/lib/kubeforge; test ! -e /etc/kubeforge/etcd-snapshot")
