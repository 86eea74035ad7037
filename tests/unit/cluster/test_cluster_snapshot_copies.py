"""Copies between folders of this machine, by the very lines that run on hosts: whole, or not there at all."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from kubeforge.cluster import snapshot_copies, snapshots
from kubeforge.cluster.snapshot_copies import fetch, is_kept, keep_pki, let_go, look_at, pass_on, read_local, send
from kubeforge.cluster.snapshots import LATEST, Snapshot, kept, kept_on, parse_snapshot
from kubeforge.errors import InputError, OperationFailed, UnfitHost, Unreadable
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.remote import ShellRemote

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShellRemote:
    """A host whose snapshots lie in a folder of the test; pieces are small."""
    place(tmp_path / "host", monkeypatch)
    monkeypatch.setattr(snapshot_copies, "_PIECE", 1000)
    return ShellRemote(LocalTransport("here"))


def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (snapshots, snapshot_copies):
        monkeypatch.setattr(module, "SNAPSHOTS", str(folder))


def make(at: Path, name: str = "20261122T194501.000Z-asked-cp1") -> Snapshot:
    about = {
        "format": 1,
        "name": name,
        "cluster": "demo",
        "host": "cp1",
        "time": "2026-11-22T19:45:01Z",
        "kind": "asked",
        "reason": "r",
        "key": "",
        "source": "member",
        "kubernetes": "1.36.3",
        "etcd": "3.6.16",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "authorities": {},
        "status": {"hash": 1, "revision": 5, "totalKey": 4},
        "members": None,
    }
    folder = at / name
    folder.mkdir(parents=True, mode=0o700)
    (folder / "snapshot.db").write_bytes(CONTENT)
    (folder / "pki.tar").write_bytes(b"")
    (folder / "snapshot.json").write_text(json.dumps(about))
    return parse_snapshot(json.dumps(about))


def test_to_the_operators_disk_and_back(here: ShellRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = make(tmp_path / "host")
    local = fetch(here, snapshot, tmp_path / "out")
    assert read_local(local) == snapshot
    assert (local / "snapshot.db").read_bytes() == CONTENT
    assert fetch(here, snapshot, tmp_path / "out") == local, "a second time, too"
    place(tmp_path / "other", monkeypatch)
    assert kept(here) == ()
    send(local, here, snapshot)
    assert kept(here) == (snapshot,)
    assert is_kept(here, snapshot)
    assert [path.name for path in (tmp_path / "other").iterdir()] == [snapshot.name], "nothing half made is left"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "other" / snapshot.name).iterdir()} == {0o600}


def test_from_host_to_host(here: ShellRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are this machine: what comes out of one folder goes into another."""
    snapshot = make(tmp_path / "host")
    monkeypatch.setattr(snapshot_copies, "SNAPSHOTS", str(tmp_path / "other"))

    class Elsewhere(ShellRemote):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]  # as ShellRemote has it
            moved = [
                word.replace(snapshots.folder(snapshot.name), f"{tmp_path}/other/{snapshot.name}") for word in argv
            ]
            return super().run(moved, **options)

    pass_on(here, Elsewhere(LocalTransport("there")), snapshot)
    assert (tmp_path / "other" / snapshot.name / "snapshot.db").read_bytes() == CONTENT


def test_what_is_damaged_gets_no_name(here: ShellRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = make(tmp_path / "host")
    (tmp_path / "host" / snapshot.name / "snapshot.db").write_bytes(CONTENT[:-1])
    assert not is_kept(here, snapshot)
    with pytest.raises(OperationFailed, match="has another digest"):
        fetch(here, snapshot, tmp_path / "out")
    assert not (tmp_path / "out" / snapshot.name).exists()
    with pytest.raises(InputError, match="1 problem"):
        read_local(tmp_path / "host" / snapshot.name)
    place(tmp_path / "other", monkeypatch)
    with pytest.raises(OperationFailed, match="ended with status 1"):
        send(tmp_path / "host" / snapshot.name, here, snapshot)
    assert kept(here) == ()


def test_the_pki_of_a_host_without_a_member(here: ShellRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tmp_path / "ca.key"
    held.write_text("key")
    names = [f"20261122T19450{number}.000Z-asked-e1" for number in range(3)]
    for name in names:
        snapshot = make(tmp_path / "elsewhere", name)
        for _ in range(2):  # the second run changes nothing
            keep_pki(here, snapshot, b"{}", [str(held), str(tmp_path / "none")])
            let_go(here, snapshot, keep=2)
    make(tmp_path / "host", "20200101T000000.000Z-scheduled-e1")
    let_go(here, snapshot, keep=2)
    left = ["20200101T000000.000Z-scheduled-e1", *names[1:]]
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == left, "each kind is counted by itself"
    (tmp_path / "restore").touch()
    monkeypatch.setattr(snapshot_copies, "ETCD_RESTORE", str(tmp_path / "restore"))
    let_go(here, snapshot, keep=1)
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == left, "none goes while one is restored"
    with tarfile.open(tmp_path / "host" / names[2] / "pki.tar") as archive:
        assert archive.getnames() == [str(held).lstrip("/")]


def test_looking_at_one(here: ShellRemote, tmp_path: Path) -> None:
    older, newer = make(tmp_path / "host"), make(tmp_path / "host", "20261122T194502.000Z-asked-cp1")
    assert look_at(LATEST, ["here"], lambda _: here) == (newer, {"here": True})
    assert look_at(older.name, ["here"], lambda _: here) == (older, {"here": True})
    assert look_at(str(tmp_path / "host" / older.name), [], lambda _: here)[0] == older
    with pytest.raises(UnfitHost, match="no host of etcd keeps a snapshot called x"):
        look_at("x", ["here"], lambda _: here)


def test_a_file_that_says_nothing(here: ShellRemote, tmp_path: Path) -> None:
    make(tmp_path / "host")
    (tmp_path / "host/20261122T194501.000Z-asked-cp1/snapshot.json").write_text("{}")
    with pytest.raises(Unreadable, match=r"snapshot\.json cannot be read"):
        kept(here)
    assert list(kept_on(["here"], lambda _: here).silent) == ["here"]


def test_a_folder_that_cannot_be_written(here: ShellRemote, tmp_path: Path) -> None:
    snapshot = make(tmp_path / "host")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="1 problem"):
        fetch(here, snapshot, tmp_path / "file")
