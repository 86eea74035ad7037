"""The script that asks a host, run by real shells over folders that look like a host's."""

from __future__ import annotations

import base64
import shutil
import stat
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubeforge.cluster.status.certs import certificates_of
from kubeforge.cluster.status.probe import Answer, Asked, asked_of, parse, probe, script
from kubeforge.errors import ProtocolError
from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import Authority, authority, leaf, new_keys
from kubeforge.pki.kubeconfigs import with_certificate
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.spec.paths import BIN
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from tests.conftest import make_sample

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOBODY = Identity(node="", address="")
SECRET = b"PRIVATE KEY"
SYSTEMCTL = """#!/bin/sh
read -r up rest </proc/uptime
echo Id=kubelet.service; echo ActiveState=active
echo ExecMainStartTimestampMonotonic=$(echo "$up" | awk '{ printf "%.0f", ($1 - 5) * 1000000 }')
"""
"""A kubelet that was started five seconds ago."""
ETCDCTL = """#!/bin/sh
case "$*" in
*"endpoint status"*) cat "$(dirname "$0")/status" ;;
*"member list"*) echo '{"header":{},"members":[]}' ;;
esac
"""


def made(name: str) -> Authority:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return authority(request(row("ca"), NOBODY), key, days=3650, now=NOW)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """What the script looks at, below a folder of its own."""
    for name in ("etc/kubernetes/pki", "etc/kubernetes/manifests", "var/lib/kubeforge", "run", "bin"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in (("etcdctl", ETCDCTL), ("systemctl", SYSTEMCTL)):
        program = tmp_path / "bin" / name
        program.write_text(text)
        program.chmod(stat.S_IRWXU)
    (tmp_path / "bin/status").write_text("")
    return tmp_path


def run(shell: str, folders: Path, *words: str) -> str:
    """Run the script with every path of a host moved below `folders`."""
    moved = script()
    for place in ("/etc/kubernetes", "/var/lib/kubeforge", "/var/lib/etcd", "/run/kubeforge"):
        moved = moved.replace(place, f"{folders}{place}")
    moved = moved.replace(f"{BIN}/", f"{folders}/bin/").replace("systemctl ", f"{folders}/bin/systemctl ")
    argv = [shell, "-c", moved, "sh", "kfword", *words]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_control_plane(shell: str, folders: Path) -> None:
    ca = made("ca")
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    issued = leaf(request(row("front-proxy-client"), NOBODY), key, ca, days=100, now=NOW)
    paths = {name: f"{folders}/etc/kubernetes/{name}" for name in ("pki/ca.crt", "both.pem", "admin.conf", "none.crt")}
    Path(paths["pki/ca.crt"]).write_bytes(ca.certificate)
    Path(paths["both.pem"]).write_bytes(issued.certificate + issued.key.reveal())
    config = with_certificate(cluster="demo", server="192.0.2.1:6443", ca=ca.certificate, name="admin", issued=issued)
    Path(paths["admin.conf"]).write_bytes(config.reveal())
    (folders / "etc/kubernetes/manifests/etcd.yaml").touch()
    (folders / "var/lib/kubeforge/run").write_text("begin r1 2\ntitle 0 file /a\ntitle 1 file /b\nstart 0\ndone 0 0\n")
    (folders / "bin/status").write_text('[{"Status":{"leader":7,"raftIndex":3}}]\n')
    said = run(
        shell, folders, "yes", paths["pki/ca.crt"], paths["both.pem"], paths["none.crt"], "--", paths["admin.conf"]
    )
    assert SECRET not in said.encode()
    assert base64.b64encode(issued.key.reveal()).decode()[:40] not in said

    answer = parse("kfword", said)
    assert answer.units["kubelet.service"] == "active"
    assert answer.kubelet_started == pytest.approx(time.time() - 5, abs=3)
    assert answer.manifests == ("etcd",)
    assert answer.left is not None
    assert (answer.left.run_id, answer.left.pending) == ("r1", ("file /b",))
    assert answer.held == {}
    assert set(answer.certificates) == {paths["pki/ca.crt"], paths["both.pem"]}
    assert answer.certificates[paths["both.pem"]].split() == issued.certificate.split()
    found = answer.kubeconfigs[paths["admin.conf"]]
    assert (found.server, found.authority) == ("https://192.0.2.1:6443", ca.certificate)
    assert found.certificate == issued.certificate
    assert '"leader":7' in (answer.etcd or "")
    assert answer.members is not None

    asked = Asked(certificates={paths["both.pem"]: ("kubelet-client", False, True)}, kubeconfigs=(), etcd=True)
    first, second = certificates_of("cp1", asked, answer, NOW)
    assert (first.name, first.days, first.due, first.rotates) == ("kubelet-client", 100, False, True)
    assert (second.name, second.path) == ("admin.conf", paths["admin.conf"])


@pytest.mark.parametrize("shell", SHELLS)
def test_locks_that_somebody_holds(shell: str, folders: Path) -> None:
    lock = folders / "run/kubeforge.lock"
    lock.write_text("ann@here, since 9:00\n")
    (folders / "var/lib/kubeforge/lock").touch()
    script = f"exec 9>>{lock}; flock -n 9 && echo held && read x"  # as engine.lock and the protocol's act take theirs
    held = subprocess.Popen(["sh", "-c", script], stdin=-1, stdout=-1)
    try:
        assert held.stdout is not None
        held.stdout.readline()
        assert parse("kfword", run(shell, folders, "no", "--")).held == {str(lock): "ann@here, since 9:00"}
    finally:
        held.communicate()
    assert parse("kfword", run(shell, folders, "no", "--")).held == {}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_bare_host(shell: str, folders: Path) -> None:
    answer = parse("kfword", run(shell, folders, "no", "/nowhere.crt", "--", "/nowhere.conf"))
    assert (answer.etcd, answer.members, answer.left, dict(answer.certificates)) == (None, None, None, {})
    assert shell in answer.processes or "sh" in answer.processes or answer.processes


@pytest.mark.parametrize("shell", SHELLS)
def test_data_of_etcd(shell: str, folders: Path) -> None:
    """A log is data; what an etcd leaves that refused to start is none."""
    (folders / "var/lib/etcd/member/snap").mkdir(parents=True)
    assert parse("kfword", run(shell, folders, "yes")).no_data
    (folders / "var/lib/etcd/member/wal").mkdir()
    assert not parse("kfword", run(shell, folders, "yes")).no_data
    assert not parse("kfword", run(shell, folders, "no")).no_data


def test_members_are_not_asked_for_where_there_is_no_leader(folders: Path) -> None:
    (folders / "bin/status").write_text('[{"Status":{"raftIndex":3,"errors":["etcdserver: no leader"]}}]\n')
    answer = parse("kfword", run(SHELLS[0], folders, "yes", "--"))
    assert "no leader" in (answer.etcd or "")
    assert answer.members is None


def test_an_answer_that_was_cut_off_is_refused(folders: Path) -> None:
    whole = run(SHELLS[0], folders, "no", "--")
    with pytest.raises(ProtocolError, match="no whole answer"):
        parse("kfword", whole[: whole.rindex("kfword end")])

    class Cut(MemoryHost):
        def run(self, *_: object, **__: object) -> Completed:
            return Completed(0, b"no such shell\n")

    with pytest.raises(ProtocolError) as raised:
        probe(Cut("w1"), Asked(certificates={}, kubeconfigs=(), etcd=False))
    assert (raised.value.host, raised.value.step) == ("w1", "status")


def test_what_is_asked_of_whom() -> None:
    inventory = make_sample(control_planes=1, workers=1).inventory
    plane, worker = (asked_of(inventory, inventory.hosts[name]) for name in ("cp1", "w1"))
    assert (plane.etcd, worker.etcd) == (True, False)
    assert [path.rpartition("/")[2] for path in worker.kubeconfigs] == ["kubelet.conf"]
    assert [name for name, *_ in worker.certificates.values()] == ["ca", "kubelet-client", "kubelet-server"]
    names = [name for name, *_ in plane.certificates.values()]
    assert {"apiserver", "etcd-ca", "etcd-server", "front-proxy-client", "kubelet-server"} <= set(names)
    assert not [path for path in plane.certificates if path.endswith((".key", ".pub"))]


@pytest.mark.parametrize(("days", "due"), [(31, False), (29, True), (-1, True)])
def test_what_is_due(days: int, due: bool) -> None:
    ca = made("ca")
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    begin = NOW - timedelta(days=400 - days)
    issued = leaf(request(row("front-proxy-client"), NOBODY), key, ca, days=400, now=begin)
    answer = Answer(certificates={"/a": issued.certificate, "/b": b"-----BEGIN CERTIFICATE-----\nx\n"})
    asked = Asked(certificates={"/a": ("a", False, False), "/b": ("b", False, False)}, kubeconfigs=(), etcd=False)
    good, bad = certificates_of("cp1", asked, answer, NOW)
    assert (good.days, good.due) == (days, due)
    assert (bad.days, bad.expires) == (None, None)
