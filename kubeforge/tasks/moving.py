"""Which hosts have another address than what runs on them was made for. Pure, but for `reads`; registers no task.

The inventory says the address that a host has now; manifests, units and flags on it say the one it had. The first run
that finds a difference notes the old one on the host (ADR 0078), and the note goes when everything has followed: so a
run that was cut off half-way is gone on with by the next, which could not tell any more from the files.

A host that has moved does not live as far as `living` is concerned: etcd cannot listen there, its API server calls
itself by an address that leads nowhere. Nothing is to be spared on it, and all its files are written at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.model import CONTROL_PLANE, Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Queries
from kubeforge.spec.addresses import node_ip
from kubeforge.spec.paths import ETCD_PEER_PORT, ETCD_UNIT, KUBELET_CONF, KUBELET_FLAGS, MOVED_FROM

__all__ = ["Move", "is_adrift", "is_under_way", "members_moved", "moved", "moves", "reads"]

# The last file that is written for a new address says whether the old one is still about: the API server's manifest
# on a control plane, the unit on a host of etcd's, the flags on a worker.
_SAYS: Final = {
    manifest_path(API_SERVER): re.compile(r"--advertise-address=([^\s\"]+)"),
    ETCD_UNIT: re.compile(rf"--initial-advertise-peer-urls=https://\[?([^\s\"\]]+?)\]?:{ETCD_PEER_PORT}\b"),
    KUBELET_FLAGS: re.compile(r"--node-ip=([^\s\"]+)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A host that has another address.

    Args:
        host: inventory name.
        old: what it had.
        new: what it has.
    """

    host: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.host} {self.old} -> {self.new}"


def reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host but for its group
    """Ask what says a host's address; where a worker is led to, which names its key by path."""
    leads = () if CONTROL_PLANE in host.groups else (KUBELET_CONF,)
    return Queries(reads=(MOVED_FROM, *_SAYS, *leads))


def moved(context: Context) -> Move | None:
    """Return the move of this host, from the moment it is seen until everything has followed; None: it has none."""
    return _move_of(context, context.host)


def is_under_way(context: Context) -> bool:
    """Whether files of this host still say the old address."""
    return _said(context, context.host) not in (None, _now(context.host))


def moves(context: Context, hosts: Iterable[Host]) -> tuple[Move, ...]:
    """Return the moves among some hosts; one that cannot be asked has none."""
    return tuple(move for host in hosts if (move := _move_if_asked(context, host)) is not None)


def members_moved(context: Context) -> tuple[Move, ...]:
    """Return the moves among etcd's members."""
    return moves(context, context.inventory.etcd_members)


def is_adrift(context: Context) -> bool:
    """Whether this node cannot find its cluster, or not be found: it has moved, or where it is led to has."""
    if moved(context) is not None:
        return True
    leads = context.seen[context.host.name].contents.get(KUBELET_CONF)
    if leads is None or CONTROL_PLANE in context.host.groups:
        return False
    servers = (f"https://{f'[{move.old}]' if ':' in move.old else move.old}:" for move in _planes(context))
    return any(server.encode() in leads for server in servers)


def _planes(context: Context) -> tuple[Move, ...]:
    return moves(context, context.inventory.control_planes)


def _move_if_asked(context: Context, host: Host) -> Move | None:
    try:
        return _move_of(context, host)
    except ConnectionFailed:
        return None


def _move_of(context: Context, host: Host) -> Move | None:
    now = _now(host)
    if now is None:
        return None
    noted = context.seen[host.name].contents.get(MOVED_FROM, b"").decode(errors="replace")
    before = next((old for old in (_plain(noted), _said(context, host)) if old not in (None, now)), None)
    return None if before is None else Move(host=host.name, old=before, new=now)


def _now(host: Host) -> str | None:
    address = node_ip(host)
    return None if address is None else str(address)


def _said(context: Context, host: Host) -> str | None:
    """Return the address that the files of a host say."""
    contents = context.seen[host.name].contents
    for path, pattern in _SAYS.items():
        found = pattern.search(contents.get(path, b"").decode(errors="replace"))
        if found is not None:
            return _plain(found[1])
    return None


def _plain(text: str) -> str | None:
    """Return an address as it is usually written; None: it is none."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return None
