from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading

import pytest

from kubeforge.cluster.etcd import Member, etcdctl, founding_snapshot, lacks_health, members
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


@pytest.mark.parametrize(("status", "lacks"), [("200 OK", None), ("503 x", "etcd says: not ready")])
def test_health(status: str, lacks: str | None) -> None:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        ours.recv(4096)
        ours.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\nnot ready".encode())
        ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    host = MemoryHost("cp1", tunnels={("127.0.0.1", 2381): lambda: theirs})
    assert lacks_health(host) == lacks
    thread.join(5)
    theirs.close()


def test_health_of_a_host_where_nothing_listens() -> None:
    assert "does not answer" in str(lacks_health(MemoryHost("cp1")))
