"""etcd, as seen from a member's own host: health over the metrics port, membership through etcdctl. Decides nothing.

Also makes the founding snapshot, see `founding_snapshot`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2

from kubeforge.cluster.tunnel import get_plainly
from kubeforge.errors import KubeforgeError, OperationFailed
from kubeforge.spec.paths import BIN, ETCD_CLIENT_PORT, ETCD_DB, ETCD_METRICS_PORT, ETCD_PKI
from kubeforge.transport.base import Remote

__all__ = [
    "Member",
    "NotYet",
    "add_learner",
    "etcdctl",
    "founding_snapshot",
    "healthy",
    "lacks_health",
    "lives",
    "members",
    "not_yet",
    "promote",
    "remove_member",
    "revision",
]

_LOOPBACK: Final = "127.0.0.1"
_PAGE: Final = 4096
_PATIENCE: Final = "5"  # seconds
_REVISION: Final = "etcd_debugging_mvcc_current_revision "
# etcd's answers to a change of membership that a later attempt need not get: peers are counted only after five seconds
# of connection, a learner is promoted only when it is in sync, a leader is about to be elected.
_PASSING: Final = (
    *("unhealthy cluster", "not enough started members", "in sync with leader", "too many learner"),
    *("no leader", "leader changed", "request timed out", "deadline exceeded"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of etcd's cluster.

    Args:
        id: hexadecimal.
        name: empty while it was added but never started.
        peer_urls: where other members reach it.
        client_urls: where clients reach it; empty while it was never started.
        learner: whether it does not vote yet.
    """

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    learner: bool = False


class NotYet(KubeforgeError):
    """etcd refused a change of its membership, but may take it a moment later."""


def lacks_health(remote: Remote) -> str | None:
    """Say what the member on this host lacks; None when it serves and votes. Its metrics port wants no certificate.

    `/health` is asked first: without a leader it says so at once, while `/readyz` waits for one for seconds. `/readyz`
    knows more: a learner is healthy, and not ready.
    """
    for path in ("/health", "/readyz"):
        status, body = _ask(remote, path)
        if not status:
            return f"etcd does not answer on port {ETCD_METRICS_PORT}: {body.partition(chr(10))[0]}"
        if status != httpx2.codes.OK:
            return f"etcd says: {_failed_checks(body)[:200]}"
    return None


def lives(remote: Remote) -> bool:
    """Say whether the member on this host has started, with or without quorum."""
    return _ask(remote, "/livez")[0] == httpx2.codes.OK


def revision(remote: Remote) -> int | None:
    """Return the revision of the data on this host: 1 where nothing was ever written; None where it cannot be told.

    A member that runs says it itself. The data of one that does not are read by etcdutl, which opens them read-only,
    and would wait without end for one that has just started.
    """
    status, body = _ask(remote, "/metrics")
    if status == httpx2.codes.OK:
        found = [line for line in body.splitlines() if line.startswith(_REVISION)]
        return int(float(found[0].removeprefix(_REVISION))) if found else None
    command = ["timeout", _PATIENCE, f"{BIN}/etcdutl", "snapshot", "status", ETCD_DB, "-w", "json"]
    answer = remote.run(command, expect=range(256))
    if answer.status:
        return None
    told: dict[str, Any] = json.loads(answer.stdout)
    return max(int(told["revision"]), 1)


def _ask(remote: Remote, path: str) -> tuple[int, str]:
    return get_plainly(lambda: remote.open_tunnel(_LOOPBACK, ETCD_METRICS_PORT), path)


def _failed_checks(body: str) -> str:
    """Of a list of checks return those that failed; of anything else all."""
    failed = [line for line in body.splitlines() if line.startswith("[-]")]
    return "; ".join(failed) or body.strip()


def etcdctl(*arguments: str, endpoints: Sequence[str] = ()) -> list[str]:
    """Return the command line that asks etcd, with the health check's certificate.

    Args:
        *arguments: of etcdctl.
        endpoints: client URLs; none: that of its own host.
    """
    return [
        f"{BIN}/etcdctl",
        f"--endpoints={','.join(endpoints) or f'https://{_LOOPBACK}:{ETCD_CLIENT_PORT}'}",
        f"--cacert={ETCD_PKI}/ca.crt",
        f"--cert={ETCD_PKI}/healthcheck-client.crt",
        f"--key={ETCD_PKI}/healthcheck-client.key",
        *arguments,
    ]


def members(remote: Remote, *, endpoints: Sequence[str] = ()) -> tuple[Member, ...]:
    """Return all members, as more than half of them know them.

    Args:
        remote: the host that asks.
        endpoints: client URLs of whom it asks; none: its own member.

    Raises:
        NotYet: there is no quorum just now.
        OperationFailed: etcdctl cannot ask.
    """
    return _members(_membership(remote, "list", endpoints=endpoints))


def remove_member(remote: Remote, member: Member) -> None:
    """Take a member out of the cluster, through the member on this host. Its id is never used again.

    Raises:
        NotYet: etcd would lose its quorum by it, as it counts now.
        OperationFailed: etcd refuses for good.
    """
    _membership(remote, "remove", member.id)


def add_learner(remote: Remote, name: str, peer_url: str) -> tuple[Member, ...]:
    """Announce a new member, which does not vote until it is promoted.

    Returns:
        All members; the new one has the name it was given here, which etcd learns when it starts.

    Raises:
        NotYet, OperationFailed: see `remove_member`.
    """
    answer = _membership(remote, "add", name, "--learner", f"--peer-urls={peer_url}")
    listed = _members(answer)
    return tuple(replace(one, name=name) if one.peer_urls == (peer_url,) else one for one in listed)


def update_member(remote: Remote, member: Member, peer_url: str) -> None:
    """Say where the others reach a member now; its id and all else stay.

    Raises:
        NotYet, OperationFailed: see `remove_member`.
    """
    _membership(remote, "update", member.id, f"--peer-urls={peer_url}")


def promote(remote: Remote, member: Member) -> None:
    """Let a learner vote.

    Raises:
        NotYet: it has not all data yet.
        OperationFailed: etcd refuses for good.
    """
    _membership(remote, "promote", member.id)


def not_yet(call: Callable[[], object]) -> str | None:
    """Make a call; return etcd's reason where a later one may succeed, None where this one did."""
    try:
        call()
    except NotYet as error:
        return error.cause
    return None


def _membership(remote: Remote, *arguments: str, endpoints: Sequence[str] = ()) -> dict[str, Any]:
    command = etcdctl("member", *arguments, "-w", "json", endpoints=endpoints)
    answer = remote.run(command, expect=range(256))
    if not answer.status:
        told: dict[str, Any] = json.loads(answer.stdout)
        return told
    lines = answer.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {answer.status}"]
    cause = lines[-1].removeprefix("Error: ")
    kind = NotYet if any(words in cause for words in _PASSING) else OperationFailed
    raise kind(cause, host=remote.host, step=f"etcdctl member {arguments[0]}")


def _members(answer: dict[str, Any]) -> tuple[Member, ...]:
    return tuple(
        Member(
            id=f"{row['ID']:x}",
            name=row.get("name", ""),
            peer_urls=tuple(row.get("peerURLs", ())),
            client_urls=tuple(row.get("clientURLs", ())),
            learner=bool(row.get("isLearner")),
        )
        for row in answer["members"]
    )


def healthy(remote: Remote, endpoints: Sequence[str]) -> frozenset[str]:
    """Return those of some client URLs whose members serve, which takes a quorum.

    Args:
        remote: a host that reaches them.
        endpoints: client URLs.
    """
    argv = etcdctl("endpoint", "health", "-w", "json", f"--command-timeout={_PATIENCE}s", endpoints=endpoints)
    answer = remote.run(argv, expect=(0, 1)).stdout
    return frozenset(row["endpoint"] for row in json.loads(answer or b"[]") if row.get("health"))


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
