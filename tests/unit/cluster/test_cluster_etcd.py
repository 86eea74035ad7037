from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading

import pytest

from kubeforge.cluster.etcd import (
    Member,
    NotYet,
    add_learner,
    etcdctl,
    founding_snapshot,
    healthy,
    lacks_health,
    lives,
    members,
    promote,
    remove_member,
    revision,
)
from kubeforge.errors import OperationFailed
from kubeforge.spec.paths import ETCD_DB
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost


def test_the_founding_snapshot_is_what_etcdctl_would_save() -> None:
    data = founding_snapshot()
    database, digest = data[:-32], data[-32:]
    assert digest == hashlib.sha256(database).digest()
    assert len(database) == 4 * 4096
    for page in (0, 1):
        magic, version, size = struct.unpack_from("<III", database, page * 4096 + 16)
        assert (magic, version, size) == (0xED0CDAED, 2, 4096)
    for name in (b"key", b"members", b"meta"):
        assert name in database


def test_the_founding_snapshot_never_changes() -> None:
    """It was restored by etcdutl 3.6.16 and served by etcd 3.6.16 (tests/integration/etcd); other bytes were not."""
    assert hashlib.sha256(founding_snapshot()).hexdigest() == (
        "78f646b0b405215f9a7e2157ab14ba1ed5d0a2761f066b6944d36deca72094a6"
    )


def test_members_are_read_from_etcdctl() -> None:
    answer = {"members": [{"ID": 255, "name": "cp1", "peerURLs": ["https://x:2380"]}, {"ID": 1, "isLearner": True}]}
    host = MemoryHost(
        "cp1", commands={tuple(etcdctl("member", "list", "-w", "json")): Completed(0, json.dumps(answer).encode())}
    )
    assert members(host) == (
        Member(id="ff", name="cp1", peer_urls=("https://x:2380",)),
        Member(id="1", name="", peer_urls=(), learner=True),
    )


def answering(**answers: tuple[int, str]) -> MemoryHost:
    """Return a host whose metrics port answers: path (without slash) -> status and body."""

    def opened() -> socket.socket:
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with ours:
                path = ours.recv(4096).split()[1].decode().strip("/")
                status, body = answers.get(path, (404, ""))
                ours.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        threading.Thread(target=serve, daemon=True).start()
        return theirs

    return MemoryHost("cp1", tunnels={("127.0.0.1", 2381): opened})


LEARNER = "[+]linearizable_read ok\n[-]non_learner failed: not supported for learner\n"


@pytest.mark.parametrize(
    ("answers", "lacks"),
    [
        ({"health": (200, "{}"), "readyz": (200, "ok")}, None),
        ({"health": (503, '{"reason":"RAFT NO LEADER"}')}, 'etcd says: {"reason":"RAFT NO LEADER"}'),
        (
            {"health": (200, "{}"), "readyz": (503, LEARNER)},
            "etcd says: [-]non_learner failed: not supported for learner",
        ),
    ],
)
def test_health(answers: dict[str, tuple[int, str]], lacks: str | None) -> None:
    assert lacks_health(answering(**answers)) == lacks


def test_health_of_a_host_where_nothing_listens() -> None:
    assert "does not answer" in str(lacks_health(MemoryHost("cp1")))
    assert not lives(MemoryHost("cp1"))


def test_the_revision_of_a_member_that_runs() -> None:
    metrics = "# HELP x\netcd_debugging_mvcc_current_revision 1.234567e+06\netcd_server_has_leader 1\n"
    assert revision(answering(metrics=(200, metrics))) == 1234567
    assert revision(answering(metrics=(200, "etcd_server_has_leader 1\n"))) is None


@pytest.mark.parametrize(("answer", "known"), [(0, 7), (-1, None)])
def test_the_revision_of_one_that_does_not(answer: int, known: int | None) -> None:
    """etcdutl of 3.6 says 0 where nothing was ever written."""
    command = ("timeout", "5", "/usr/local/bin/etcdutl", "snapshot", "status", ETCD_DB, "-w", "json")
    told = Completed(0, b'{"hash":1,"revision":7,"totalKey":2}') if answer == 0 else Completed(1, b"", b"no such file")
    assert revision(MemoryHost("cp1", commands={command: told})) == known
    nothing = Completed(0, b'{"hash":1,"revision":0,"totalKey":0}')
    assert revision(MemoryHost("cp1", commands={command: nothing})) == 1


def refusing(*words: str, error: str) -> MemoryHost:
    said = Completed(1, b"", f'{{"level":"warn"}}\nError: {error}'.encode())
    return MemoryHost("cp1", commands={tuple(etcdctl("member", *words, "-w", "json")): said})


GONE = Member(id="ab", name="cp3", peer_urls=("https://z:2380",))


@pytest.mark.parametrize(
    "error",
    ["etcdserver: unhealthy cluster", "etcdserver: re-configuration failed due to not enough started members"],
)
def test_what_etcd_may_take_a_moment_later(error: str) -> None:
    with pytest.raises(NotYet, match=error):
        remove_member(refusing("remove", "ab", error=error), GONE)
    with pytest.raises(NotYet, match="in sync"):
        promote(
            refusing("promote", "ab", error="etcdserver: can only promote a learner which is in sync with leader"), GONE
        )


def test_what_etcd_refuses_for_good() -> None:
    words = ("add", "cp3", "--learner", "--peer-urls=https://z:2380")
    with pytest.raises(OperationFailed, match="Peer URLs already exists") as raised:
        add_learner(refusing(*words, error="etcdserver: Peer URLs already exists"), "cp3", "https://z:2380")
    assert raised.value.step == "etcdctl member add"


def test_a_new_member_has_the_name_it_will_have() -> None:
    listed = [
        {"ID": 1, "name": "cp1", "peerURLs": ["https://x:2380"]},
        {"ID": 2, "peerURLs": ["https://z:2380"], "isLearner": True},
    ]
    words = ("add", "cp3", "--learner", "--peer-urls=https://z:2380")
    command = tuple(etcdctl("member", *words, "-w", "json"))
    host = MemoryHost("cp1", commands={command: Completed(0, json.dumps({"members": listed}).encode())})
    assert [one.name for one in add_learner(host, "cp3", "https://z:2380")] == ["cp1", "cp3"]


def test_who_serves_is_told_by_all_members_at_once() -> None:
    urls = ("https://192.0.2.11:2379", "https://192.0.2.12:2379")
    answer = [{"endpoint": urls[0], "health": True}, {"endpoint": urls[1], "health": False, "error": "deadline"}]
    argv = etcdctl("endpoint", "health", "-w", "json", "--command-timeout=5s", endpoints=urls)
    assert argv[1] == "--endpoints=https://192.0.2.11:2379,https://192.0.2.12:2379"
    host = MemoryHost("cp1", commands={tuple(argv): Completed(1, json.dumps(answer).encode())})
    assert healthy(host, urls) == {urls[0]}
