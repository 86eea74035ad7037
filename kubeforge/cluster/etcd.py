"""etcd, as seen from its own host: health over the metrics port, members through etcdctl. Changes nothing.

Also makes the founding snapshot, see `founding_snapshot`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from kubeforge.cluster.tunnel import get_plainly
from kubeforge.spec.paths import ETCD_CLIENT_PORT, ETCD_METRICS_PORT, ETCD_PKI
from kubeforge.transport.base import Remote

__all__ = ["Member", "etcdctl", "founding_snapshot", "lacks_health", "members"]

_LOOPBACK: Final = "127.0.0.1"
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of etcd's cluster.

    Args:
        id: hexadecimal.
        name: empty while it was added but never started.
        peer_urls: where other members reach it.
        learner: whether it does not vote yet.
    """

    id: str
    name: str
    peer_urls: tuple[str, ...]
    learner: bool = False


def lacks_health(remote: Remote) -> str | None:
    """Say what the member on this host lacks; None when it serves. No certificate is needed for its metrics port."""
    status, body = get_plainly(lambda: remote.open_tunnel(_LOOPBACK, ETCD_METRICS_PORT), "/readyz")
    if not status:
        return f"etcd does not answer on port {ETCD_METRICS_PORT}: {body}"
    return None if status == httpx2.codes.OK else f"etcd says: {body.strip()[:200]}"


def etcdctl(*arguments: str) -> list[str]:
    """Return the command line that asks the member of its own host, with the health check's certificate."""
    return [
        "etcdctl",
        f"--endpoints=https://{_LOOPBACK}:{ETCD_CLIENT_PORT}",
        f"--cacert={ETCD_PKI}/ca.crt",
        f"--cert={ETCD_PKI}/healthcheck-client.crt",
        f"--key={ETCD_PKI}/healthcheck-client.key",
        *arguments,
    ]


def members(remote: Remote) -> tuple[Member, ...]:
    """Return all members, as the member on this host knows them."""
    answer: dict[str, Any] = json.loads(remote.run(etcdctl("member", "list", "-w", "json")).stdout)
    return tuple(
        Member(
            id=f"{row['ID']:x}",
            name=row.get("name", ""),
            peer_urls=tuple(row.get("peerURLs", ())),
            learner=bool(row.get("isLearner")),
        )
        for row in answer["members"]
    )


def founding_snapshot(buckets: Sequence[str] = ("key", "members", "meta")) -> bytes:
    """Return a snapshot of an etcd that holds nothing, for `etcdutl snapshot restore`.

    A member founded by restoring it needs no `initial-cluster-state=new`, so its manifest is final from the start
    (ADR 0042). The bytes are a bbolt database of four pages (two metas, an empty free list, a leaf with empty inline
    buckets; bbolt v1.4 page.go, meta.go, bucket.go) and their SHA-256, as `etcdctl snapshot save` appends it.

    Args:
        buckets: names of the empty buckets; `meta` is the one that etcdutl 3.6 and 3.7 need.
    """
    names = sorted(name.encode() for name in buckets)
    elements, data = b"", b""
    for index, name in enumerate(names):
        position = (len(names) - index) * 16 + len(data)  # counted from the element's own start
        value = struct.pack("<QQ", 0, 0) + struct.pack("<QHHI", 0, 2, 0, 0)  # bucket header, empty leaf page
        elements += struct.pack("<IIII", 1, position, len(name), len(value))
        data += name + value
    database = _meta(0) + _meta(1) + _page(2, 0x10, 0, b"") + _page(3, 0x02, len(names), elements + data)
    return database + hashlib.sha256(database).digest()


def _page(number: int, flags: int, count: int, body: bytes) -> bytes:
    return (struct.pack("<QHHI", number, flags, count, 0) + body).ljust(_PAGE, b"\0")


def _meta(number: int) -> bytes:
    # magic, version, page size, flags, root bucket (page 3, sequence 0), free list (page 2), pages in use, transaction
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, _PAGE, 0, 3, 0, 2, 4, number)
    return _page(number, 0x04, 0, body + struct.pack("<Q", _fnv1a(body)))


def _fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
