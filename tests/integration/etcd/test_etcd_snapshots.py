"""Real etcd: a snapshot by the script that hosts run, and three members made anew out of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.etcd import lacks_health, members, revision
from kubeforge.cluster.snapshots import Snapshot, parse_snapshot
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.manifests import etcd_snapshot
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import release
from kubeforge.tasks.etcd_data import _RESTORE
from tests.integration.etcd.conftest import serving

pytestmark = pytest.mark.lab

Make = Callable[[int], Any]
HOST = Host(name="m0", connection=Connection(address="192.0.2.11"), groups=frozenset({"etcd"}))
SPEC = ClusterSpec(name="demo", kubernetes="1.36.3")
LEAP = 1_000_000_000


@pytest.fixture
def three(members: Make) -> Any:
    """Three members that serve, with fifty keys."""
    return serving(members, keys=50)


def take(made: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the host of m0 would, in a folder."""
    pki = folder / "ca.crt"
    pki.write_text("ca")
    monkeypatch.setattr(etcd_snapshot, "BIN", str(Path(made.program("etcdutl")).parent))
    monkeypatch.setattr(etcd_snapshot, "ETCD_DB", str(made.folder / "m0/member/snap/db"))
    monkeypatch.setattr(etcd_snapshot, "SNAPSHOTS", str(folder / "snapshots"))
    monkeypatch.setattr(etcd_snapshot, "ETCD_RESTORE", str(folder / "restore"))
    monkeypatch.setattr(etcd_snapshot, "kept_pki", lambda *_: (str(pki),))
    monkeypatch.setattr(etcd_snapshot, "public_parts", lambda *_: (str(pki),))
    ask = [made.program("etcdctl"), f"--endpoints={made.clients['m0']}"]
    inventory = Inventory(hosts={"m0": HOST}, groups={"etcd": ("m0",)})
    script = etcd_snapshot.snapshot_script(SPEC, inventory, HOST, etcdctl=ask)
    return subprocess.run(["sh", "-s", "--", *words], input=script, capture_output=True, text=True, check=False)


def make_anew(made: Any, name: str, database: Path, mark: str, bump: int, *, hash_check: bool = True) -> None:
    """Do what `etcd_data.make_anew` does, in the member's folder."""
    data = made.folder / name
    places = (str(database), str(data), os.environ.get("USER", "root"), f"{data}/member.before-{mark}", mark)
    flags = ["--name", name, "--initial-cluster", made.cluster, "--initial-advertise-peer-urls", made.peers[name]]
    flags += ["--initial-cluster-token", mark, "--bump-revision", str(bump), "--mark-compacted"]
    flags += [] if hash_check else ["--skip-hash-check"]
    argv = ["sh", "-euc", _RESTORE, "sh", made.program("etcdutl"), *places, f"{data}/member/restored", *flags]
    subprocess.run(argv, check=True, capture_output=True)


def start_all(made: Any) -> None:
    for name in made.names:
        made.start(name, made.settled(name))
    for name in made.names:
        made.until(lambda name=name: lacks_health(made.host(name)) is None)


def saved(done: subprocess.CompletedProcess[str]) -> Snapshot:
    assert done.returncode == 0, done.stderr
    return parse_snapshot(done.stdout)


def test_all_data_lost(three: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key that was acknowledged before the snapshot is there, in a cluster that nobody takes for the old one."""
    snapshot = saved(take(three, tmp_path, monkeypatch, "asked", "by hand", "key-1"))
    assert (snapshot.revision, snapshot.keys, snapshot.source, snapshot.key) == (51, 50, "member", "key-1")
    assert set(snapshot.members) == set(three.names)
    assert snapshot.etcd == release("1.36").etcd
    before = {one.id for one in members(three.host("m0"))}
    assert three.ask("m0", "put", "too-late", "v").returncode == 0
    for name in three.names:
        three.lose(name)
        (three.folder / name).mkdir()
    database = tmp_path / "snapshots" / snapshot.name / "snapshot.db"
    for name in three.names:
        make_anew(three, name, database, "first", LEAP - snapshot.revision)
    start_all(three)
    keys = three.ask("m1", "get", "", "--prefix", "--keys-only").stdout.split()
    assert sorted(keys) == sorted(f"k{number}" for number in range(50))
    assert not before & {one.id for one in members(three.host("m0"))}, "another cluster, other members"
    for name in three.names:
        now = revision(three.host(name))
        assert now is not None
        assert now >= LEAP
    assert "required revision has been compacted" in three.ask("m2", "watch", "k1", "--rev=60").stderr


def test_a_restore_that_is_gone_on_with_makes_no_data_twice(
    three: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = saved(take(three, tmp_path, monkeypatch, "asked", "by hand"))
    database = tmp_path / "snapshots" / snapshot.name / "snapshot.db"
    for name in three.names:
        three.stop(name)
        make_anew(three, name, database, "first", LEAP)
        assert (three.folder / name / "member.before-first/wal").is_dir(), "what was there is kept"
    start_all(three)
    assert three.ask("m0", "put", "after", "v").returncode == 0
    for name in three.names:
        three.stop(name)
        make_anew(three, name, database, "first", LEAP)
    start_all(three)
    assert "after" in three.ask("m0", "get", "", "--prefix", "--keys-only").stdout.split()


def test_lost_quorum_and_one_whole_member(three: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data are copied once it has ended in order: every acknowledged key is there."""
    three.lose("m1")
    three.lose("m2")
    three.stop("m0")
    done = take(three, tmp_path, monkeypatch, "asked", "r", "", str(three.folder / "m0/member/snap/db"))
    snapshot = saved(done)
    assert (snapshot.source, snapshot.revision) == ("data", 51)
    database = tmp_path / "snapshots" / snapshot.name / "snapshot.db"
    for name in three.names:
        (three.folder / name).mkdir(exist_ok=True)
        make_anew(three, name, database, "first", LEAP, hash_check=False)
    start_all(three)
    assert len(three.ask("m2", "get", "k", "--prefix", "--keys-only").stdout.split()) == 50
