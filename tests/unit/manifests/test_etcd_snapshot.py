"""The script that takes snapshots: its text, and what it does where an etcdctl and an etcdutl only look like them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.snapshots import Snapshot, parse_snapshot
from kubeforge.documents import dump
from kubeforge.manifests import etcd_snapshot
from kubeforge.manifests.etcd_snapshot import kept_pki, public_parts, snapshot_script, snapshot_timer, snapshot_unit

Check = Callable[[str, str], None]

ETCDCTL = """#!/bin/sh
case "$*" in
*"member list"*) echo '{"members":[{"ID":1,"name":"cp1","peerURLs":["https://192.0.2.11:2380"]}]}' ;;
*"endpoint status"*) echo '[{"Status":{"version":"3.6.16"}}]' ;;
*"snapshot save"*) for file; do :; done; cp "$SENT" "$file" ;;
*) exit 64 ;;
esac
"""
ETCDUTL = """#!/bin/sh
case "$*" in
version) printf 'etcdutl version: 3.7.0\\nAPI version: 3.6\\n' ;;
*"snapshot status"*) echo '{"hash":7,"revision":42,"totalKey":40,"totalSize":1024,"version":"3.6.0"}' ;;
*) exit 64 ;;
esac
"""


class Taker:
    """The script on a host that is a folder."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder, self.script = folder, script
        self.database = folder / "sent.db"

    @property
    def snapshots(self) -> list[str]:
        return sorted(one.name for one in (self.folder / "snapshots").glob("[!.]*"))

    def sends(self, content: bytes) -> None:
        self.database.write_bytes(content + hashlib.sha256(content).digest())

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SENT": str(self.database)}
        argv = ["sh", "-s", "--", *words]
        return subprocess.run(argv, input=self.script, capture_output=True, text=True, check=False, env=environment)

    def take(self, *words: str) -> Snapshot:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return parse_snapshot(done.stdout)


@pytest.fixture
def taker(tmp_path: Path, sample: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Taker:
    pki = tmp_path / "pki"
    pki.mkdir()
    for name in ("ca.crt", "ca.key"):
        (pki / name).write_text(name)
    for name, text in (("etcdctl", ETCDCTL), ("etcdutl", ETCDUTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "live.db").write_bytes(b"d" * 4096)
    monkeypatch.setattr(etcd_snapshot, "BIN", str(tmp_path))
    monkeypatch.setattr(etcd_snapshot, "ETCD_DB", str(tmp_path / "live.db"))
    monkeypatch.setattr(etcd_snapshot, "SNAPSHOTS", str(tmp_path / "snapshots"))
    monkeypatch.setattr(etcd_snapshot, "manifest_path", lambda name: str(tmp_path / f"{name}.yaml"))
    monkeypatch.setattr(etcd_snapshot, "ETCD_RESTORE", str(tmp_path / "restore"))
    monkeypatch.setattr(
        etcd_snapshot, "kept_pki", lambda *_: tuple(f"{pki}/{one}" for one in ("ca.crt", "ca.key", "no"))
    )
    monkeypatch.setattr(etcd_snapshot, "public_parts", lambda *_: (f"{pki}/ca.crt", f"{pki}/no"))
    cluster = sample(etcd={"snapshots": {"keep": 2}})
    made = Taker(
        tmp_path,
        snapshot_script(
            cluster.spec, cluster.inventory, cluster.first, etcdctl=[f"{tmp_path}/etcdctl", "--cacert=x y"]
        ),
    )
    made.sends(b"s" * 8192)
    return made


def test_a_snapshot_says_what_it_is(taker: Taker) -> None:
    made = taker.take("asked", "before upgrade to 1.36.3", "key-1")
    assert (made.cluster, made.host, made.kind, made.reason, made.key) == (
        *("demo", "cp1", "asked", "before upgrade to 1.36.3", "key-1"),
    )
    assert (made.revision, made.hash, made.keys, made.size) == (42, 7, 40, 8224)
    assert (made.kubernetes, made.etcd, made.source) == ("1.36.3", "3.6.16", "member")
    assert made.members == {"cp1": ("https://192.0.2.11:2380",)}
    folder = taker.folder / "snapshots" / made.name
    assert hashlib.sha256((folder / "snapshot.db").read_bytes()).hexdigest() == made.sha256
    assert made.authorities == {f"{taker.folder}/pki/ca.crt": hashlib.sha256(b"ca.crt").hexdigest()}
    assert json.dumps(made.as_json())


def test_it_is_of_the_version_that_runs_and_not_of_what_cluster_yml_wants(taker: Taker) -> None:
    """Before an upgrade cluster.yml says where it goes; an older API server could not go back to such a snapshot."""
    pod = {"spec": {"containers": [{"name": "kube-apiserver", "image": "registry.k8s.io/kube-apiserver:v1.35.4"}]}}
    (taker.folder / "kube-apiserver.yaml").write_bytes(dump(pod).encode())
    assert taker.take("asked", "r").kubernetes == "1.35.4"


def test_keys_are_for_root_alone(taker: Taker) -> None:
    made = taker.take("asked", "r")
    folder = taker.folder / "snapshots" / made.name
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("pki.tar", "snapshot.db", "snapshot.json"), 0o600
    )
    with tarfile.open(folder / "pki.tar") as archive:
        assert archive.getnames() == [f"{taker.folder}/pki/{name}".lstrip("/") for name in ("ca.crt", "ca.key")]


def test_what_was_damaged_on_its_way_is_no_snapshot(taker: Taker) -> None:
    taker.database.write_bytes(taker.database.read_bytes().replace(b"ssss", b"ssxs", 1))
    done = taker.run("asked", "r")
    assert done.returncode != 0
    assert "is not what etcd sent" in done.stderr
    assert taker.snapshots == []
    taker.sends(b"t" * 8192)
    taker.take("asked", "r")
    assert not list((taker.folder / "snapshots").glob(".new-*")), "what was cut off is swept by the next"


def test_the_data_of_a_member_that_does_not_run(taker: Taker) -> None:
    made = taker.take("asked", "r", "", str(taker.folder / "live.db"))
    assert (made.source, made.size, made.members) == ("data", 4096, {})


def test_old_ones_go_each_kind_by_itself(taker: Taker) -> None:
    asked = [taker.take("asked", "r").name for _ in range(3)]
    scheduled = [taker.take("scheduled", "schedule").name for _ in range(3)]
    assert taker.snapshots == sorted([*asked[1:], *scheduled[1:]])
    os.utime(taker.folder / "snapshots" / asked[1], (0, 0))
    os.utime(taker.folder / "snapshots" / asked[2], (0, 0))
    taker.take("scheduled", "schedule")
    assert asked[1] not in taker.snapshots, "too old"
    assert asked[2] in taker.snapshots, "the newest of its kind stays, however old"


def test_none_goes_while_one_is_restored(taker: Taker) -> None:
    (taker.folder / "restore").touch()
    names = [taker.take("asked", "r").name for _ in range(3)]
    assert taker.snapshots == names


def test_too_little_room_is_said_before_anything_is_written(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    script = taker.script.replace(str(etcd_snapshot._SPARE), "9223372036854000000")
    taker.script = script
    done = taker.run("asked", "r")
    assert done.returncode == 1
    assert "too little room" in done.stderr
    assert taker.snapshots == []


def test_what_a_host_holds_and_no_more(sample: Callable[..., Any]) -> None:
    extra = {"encryption-provider-config": "/etc/kubernetes/encryption.yaml"}
    stacked = sample(api_server={"extra_args": extra})
    assert set(kept_pki(stacked.spec, stacked.inventory, stacked.first)) == {
        *(
            f"/etc/kubernetes/pki/{name}.{end}"
            for name in ("ca", "front-proxy-ca", "etcd/ca")
            for end in ("crt", "key")
        ),
        *("/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa.key", "/etc/kubernetes/encryption.yaml"),
    }
    apart = sample(etcd_hosts=1, api_server={"extra_args": extra})
    member, plane = apart.inventory.hosts["e1"], apart.first
    assert kept_pki(apart.spec, apart.inventory, member) == (
        *("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.key"),
    )
    assert "/etc/kubernetes/pki/etcd/ca.key" not in kept_pki(apart.spec, apart.inventory, plane)
    assert not [path for path in public_parts(apart.inventory, plane) if path.endswith(".key")]


def test_goldens(sample: Callable[..., Any], golden: Check) -> None:
    cluster = sample()
    script = snapshot_script(cluster.spec, cluster.inventory, cluster.first, etcdctl=["etcdctl", "--cacert=ca.crt"])
    golden("etcd-snapshot/etcd-snapshot", script)
    golden("etcd-snapshot/kubeforge-etcd-snapshot.service", snapshot_unit())
    golden("etcd-snapshot/kubeforge-etcd-snapshot.timer", snapshot_timer("daily"))


@pytest.mark.parametrize("text", ["", "{}", '{"format":2}', "[1]", '{"format":1,"name":"x"}'])
def test_what_is_no_snapshot(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are the caller's
        parse_snapshot(text)
