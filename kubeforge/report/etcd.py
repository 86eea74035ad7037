"""Members and snapshots of etcd as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kubeforge.cluster.snapshots import Kept, Snapshot
from kubeforge.cluster.status.rows import Etcd, Member
from kubeforge.report.tables import plain_table
from kubeforge.report.words import sized

__all__ = ["etcd_text", "members_text", "one_snapshot_text", "snapshots_text"]


def members_text(etcd: Etcd) -> str:
    """Return who is a member, and who should be."""
    titles = ("MEMBER", "ID", "VERSION", "ROLE", "IN HOSTS.YML", "PROBLEM")
    rows = (
        (one.host, one.id, one.version, _role(one), "yes" if one.in_inventory else "no", one.problem)
        for one in etcd.members
    )
    return plain_table(titles, rows)


def etcd_text(etcd: Etcd) -> str:
    """Return what each member says of itself, then what can be said of all."""
    titles = ("MEMBER", "ROLE", "VERSION", "REVISION", "SIZE", "IN USE", "QUOTA", "ALARMS", "PROBLEM")
    rows = (
        (
            *(one.host or one.id, _role(one), one.version, str(one.revision or "")),
            *(sized(one.size), sized(one.in_use), sized(one.quota), ",".join(one.alarms), one.problem),
        )
        for one in etcd.members
    )
    return f"{plain_table(titles, rows)}{_about(etcd)}\n"


def _about(etcd: Etcd) -> str:
    """Say whether the members serve together."""
    total = len(etcd.voters)
    serving = sum(one.answers is True and not one.problem for one in etcd.voters)
    if not etcd.quorum or serving < etcd.needed:
        return f"no quorum: of {total} members {etcd.needed} must serve, and {serving if etcd.quorum else 0} do"
    spare = serving - etcd.needed
    return f"{serving} of {total} members serve; etcd can do without {spare or 'none'} of them"


def snapshots_text(kept: Kept) -> str:
    """Return the snapshots there are, and who keeps them."""
    titles = ("NAME", "TIME", "REASON", "REVISION", "KEYS", "SIZE", "KUBERNETES", "KEPT ON")
    rows = (
        (
            *(one.name, one.time, one.reason, str(one.revision), str(one.keys)),
            *(sized(one.size), one.kubernetes, ",".join(kept.holders(one.name))),
        )
        for one in kept.all
    )
    silent = "".join(f"{host} cannot be asked: {why}\n" for host, why in kept.silent.items())
    return plain_table(titles, rows) + silent


def one_snapshot_text(snapshot: Snapshot, copies: Mapping[str, bool]) -> str:
    """Return what a snapshot is, and whether its copies are whole.

    Args:
        snapshot: which.
        copies: where -> whole.
    """
    lines = {
        "name": snapshot.name,
        "cluster": snapshot.cluster,
        "taken": f"{snapshot.time} from {snapshot.host} ({_SOURCES.get(snapshot.source, snapshot.source)})",
        "reason": snapshot.reason,
        "revision": str(snapshot.revision),
        "keys": f"{snapshot.keys} (every kept revision of each)",
        "hash": f"{snapshot.hash:x}",
        "size": f"{sized(snapshot.size)} ({snapshot.size} bytes)",
        "sha256": snapshot.sha256,
        "versions": f"etcd {snapshot.etcd}, Kubernetes {snapshot.kubernetes}",
        "members": ", ".join(snapshot.members) or "not known",
        **{f"copy on {where}": "whole" if whole else "DAMAGED" for where, whole in copies.items()},
    }
    width = max(map(len, lines))
    return "".join(f"{name.ljust(width)}  {text}\n" for name, text in lines.items())


_SOURCES: Final = {"member": "sent by its member", "data": "copied from the data of its member, which did not run"}


def _role(one: Member) -> str:
    if one.registered is False:
        return "none: etcd does not count it"
    if one.learner:
        return "learner"
    return "leader" if one.leader else "voter"
