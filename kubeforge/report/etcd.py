"""Members and snapshots of etcd as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kubeforge.cluster.etcd_states import MemberState
from kubeforge.cluster.snapshots import Kept, Snapshot

__all__ = ["members_text", "one_snapshot_text", "snapshots_text", "states_text"]

_NONE: Final = "-"
_UNITS: Final = ("B", "KiB", "MiB", "GiB")


def members_text(states: Sequence[MemberState]) -> str:
    """Return who is a member."""
    titles = ("MEMBER", "ID", "PEER URL", "ROLE", "VERSION", "HEALTH")
    return _table(titles, ((one.host, one.id, one.peer_url, _role(one), one.version, _health(one)) for one in states))


def states_text(states: Sequence[MemberState], alarms: Sequence[tuple[str, str]], about: str) -> str:
    """Return what each member says of itself, then what can be said of all.

    Args:
        states: one per member.
        alarms: id of a member, kind.
        about: whether they serve together.
    """
    titles = ("MEMBER", "ROLE", "VERSION", "REVISION", "SIZE", "USED", "QUOTA", "HEALTH")
    rows = (
        (
            *(one.host, _role(one), one.version, "" if one.revision is None else str(one.revision)),
            *(_size(one.size), _size(one.used), _size(one.quota), _health(one)),
        )
        for one in states
    )
    names = {one.id: one.host for one in states}
    raised = "".join(f"alarm {kind} of {names.get(member, member)}\n" for member, kind in alarms)
    return f"{_table(titles, rows)}{raised}{about}\n"


def snapshots_text(kept: Kept) -> str:
    """Return the snapshots there are, and who keeps them."""
    titles = ("NAME", "TIME", "REASON", "REVISION", "KEYS", "SIZE", "KUBERNETES", "KEPT ON")
    rows = (
        (
            *(one.name, one.time, one.reason, str(one.revision), str(one.keys)),
            *(_size(one.size), one.kubernetes, ",".join(kept.holders(one.name))),
        )
        for one in kept.all
    )
    silent = "".join(f"{host} cannot be asked: {why}\n" for host, why in kept.silent.items())
    return _table(titles, rows) + silent


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
        "size": f"{_size(snapshot.size)} ({snapshot.size} bytes)",
        "sha256": snapshot.sha256,
        "versions": f"etcd {snapshot.etcd}, Kubernetes {snapshot.kubernetes}",
        "members": ", ".join(snapshot.members) or "not known",
        **{f"copy on {where}": "whole" if whole else "DAMAGED" for where, whole in copies.items()},
    }
    width = max(map(len, lines))
    return "".join(f"{name.ljust(width)}  {text}\n" for name, text in lines.items())


_SOURCES: Final = {"member": "sent by its member", "data": "copied from the data of its member, which did not run"}


def _table(titles: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    listed = [titles, *([cell or _NONE for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in listed) for column in range(len(titles))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed)
    return "".join(f"{line}\n" for line in lines)


def _role(one: MemberState) -> str:
    if one.known is False:
        return "none: the others do not count it"
    if one.learner:
        return "learner"
    return "leader" if one.leader else "voter"


def _health(one: MemberState) -> str:
    return one.lacks or "serves"


def _size(number: int) -> str:
    """Return bytes as people read them; nothing where none are known."""
    if not number:
        return ""
    size, unit = float(number), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{number} B"
