"""etcd's members, put together from what each host's own member says. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from kubeforge.cluster.status.probe import Answer
from kubeforge.cluster.status.rows import Etcd, Member
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd import ETCD

__all__ = ["etcd_of"]

_ALARM: Final = re.compile(r"memberID:(\d+) alarm:([A-Z]+)")  # as etcdserverpb.AlarmMember prints itself
_WIDTH: Final = 200
_NOT_FOR_PEOPLE: Final = ("{", "[", "null")  # etcdctl's log, and the answer where there is none


def etcd_of(hosts: Sequence[Host], answers: Mapping[str, Answer]) -> Etcd:
    """Return all members.

    Args:
        hosts: those of the inventory that should have one.
        answers: of the hosts that could be asked.
    """
    said = {host.name: _status(answers[host.name].etcd) for host in hosts if host.name in answers}
    statuses = {name: status for name, status in said.items() if isinstance(status, dict)}
    furthest = max((_number(status, "raftIndex") for status in statuses.values()), default=0)
    alarms = _alarms(statuses.values())
    rows = _rows(answers.values())
    members = [_own(host, answers.get(host.name), said.get(host.name), furthest) for host in hosts]
    members = [replace(member, **_listed(member, host, rows)) for member, host in zip(members, hosts, strict=True)]
    known = {member.id for member in members}
    others = [_other(row) for row in rows or () if _hexadecimal(row.get("ID")) not in known]
    everyone = (*members, *others)
    leaders = {_hexadecimal(status.get("leader")) for status in statuses.values()} - {""}
    everyone = tuple(
        replace(member, leader=bool(member.id) and member.id in leaders, alarms=alarms.get(member.id, ()))
        for member in everyone
    )
    voters = [member for member in everyone if not member.learner and member.registered is not False]
    needed = len(voters) // 2 + 1 if voters else 0
    # a leader whose followers are gone takes itself for the leader until its election timeout
    may_serve = sum(member.answers is not False for member in voters) >= needed
    return Etcd(
        quorum=bool(leaders) and may_serve if said else None,
        needed=needed,
        leader=next((member.host for member in everyone if member.leader), ""),
        members=everyone,
    )


def _status(text: str | None) -> dict[str, Any] | str:
    """Return what a member says of itself, or why it says nothing."""
    rows = _decoded(text)
    if rows:
        status: dict[str, Any] = rows[0]["Status"]
        return status
    told = [line.strip() for line in (text or "").splitlines() if not line.startswith(_NOT_FOR_PEOPLE)]
    return f"it does not answer: {told[-1][:_WIDTH]}" if any(told) else "it does not answer"


def _decoded(text: str | None) -> Any:
    """Return the JSON among a program's lines; it may complain before and after. None: there is none."""
    for line in (text or "").splitlines():
        if line.startswith(("[", '{"header"')):
            try:
                return json.loads(line)
            except ValueError:
                continue
    return None


def _rows(answers: Iterable[Answer]) -> list[dict[str, Any]] | None:
    """Return the list of members, from the first that knows it; None: nobody does."""
    for answer in answers:
        listed = _decoded(answer.members)
        if listed:
            rows: list[dict[str, Any]] = listed.get("members") or []
            return rows
    return None


def _alarms(statuses: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return alarms by the member they are about; every member knows all of them."""
    found = {
        (f"{int(member):x}", alarm)
        for status in statuses
        for error in status.get("errors") or ()
        for member, alarm in _ALARM.findall(error)
    }
    return {member: tuple(sorted(alarm for one, alarm in found if one == member)) for member, _ in found}


def _own(host: Host, answer: Answer | None, status: dict[str, Any] | str | None, furthest: int) -> Member:
    """Return the member of a host of the inventory."""
    if answer is None or status is None:
        return Member(host=host.name, problem="its host cannot be asked")
    if isinstance(status, str):
        if answer.no_data:
            return Member(host=host.name, answers=False, has_data=False, problem="it has no data")
        runs = ETCD in answer.processes
        return Member(host=host.name, answers=False, problem=status if runs else "etcd does not run")
    return Member(
        host=host.name,
        id=_hexadecimal((status.get("header") or {}).get("member_id")),
        answers=True,
        learner=bool(status.get("isLearner")),
        version=str(status.get("version", "")),
        size=_number(status, "dbSize"),
        in_use=_number(status, "dbSizeInUse"),
        quota=_number(status, "dbSizeQuota"),
        revision=_number(status.get("header") or {}, "revision"),
        index=_number(status, "raftIndex"),
        lag=max(0, furthest - _number(status, "raftAppliedIndex")),
        problem="" if _number(status, "leader") else "it knows no leader",
    )


def _listed(member: Member, host: Host, rows: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return what the list of members says of the member of a host."""
    if rows is None:
        return {}
    mine = next((row for row in rows if _is_of(row, member, host)), None)
    if mine is None:
        return {"registered": False}
    return {"registered": True, "id": _hexadecimal(mine["ID"]), "learner": bool(mine.get("isLearner"))}


def _is_of(row: Mapping[str, Any], member: Member, host: Host) -> bool:
    if member.id:
        return _hexadecimal(row.get("ID")) == member.id
    name = row.get("name")
    return name == host.name if name else any(_address(url) == host.address for url in row.get("peerURLs") or ())


def _address(url: str) -> str:
    """Return the address in `https://192.0.2.11:2380`."""
    return url.partition("//")[2].rpartition(":")[0].strip("[]")


def _other(row: Mapping[str, Any]) -> Member:
    """Return a member that is on no host of the inventory."""
    name = str(row.get("name") or "")
    return Member(
        host=name,
        id=_hexadecimal(row.get("ID")),
        in_inventory=False,
        registered=True,
        learner=bool(row.get("isLearner")),
        problem="" if name else f"it was added as {', '.join(row.get('peerURLs') or ())} and has never started",
    )


def _number(status: Mapping[str, Any], name: str) -> int:
    return int(status.get(name) or 0)


def _hexadecimal(number: Any) -> str:
    return f"{int(number):x}" if number else ""
