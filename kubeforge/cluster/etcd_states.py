"""What each member of etcd says of itself: size, revision, leader, alarms. Read-only; asked on its own host."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from kubeforge.cluster.etcd import Member, etcdctl, lacks_health, members
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd import peer_url
from kubeforge.transport.base import Remote

__all__ = ["NO_SPACE", "MemberState", "States", "alarms", "look_at", "member_states", "state_of"]

_THREADS: Final = 16
NO_SPACE: Final = "NOSPACE"
# etcdserverpb.AlarmType, as etcdctl's JSON has it
_ALARMS: Final = {1: NO_SPACE, 2: "CORRUPT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member, as it is now.

    Args:
        host: inventory name.
        lacks: why it does not serve; None: it does.
        id: hexadecimal; empty where it is not known.
        peer_url: where the others reach it.
        learner: whether it does not vote yet.
        leader: whether it leads.
        version: of its server.
        revision: newest it knows; None where it cannot be asked.
        size: of its database, bytes.
        used: of that, what holds something.
        quota: bytes at which it stops writing.
        known: whether the others count it; None where nobody tells.
    """

    host: str
    lacks: str | None = None
    id: str = ""
    peer_url: str = ""
    learner: bool = False
    leader: bool = False
    version: str = ""
    revision: int | None = None
    size: int = 0
    used: int = 0
    quota: int = 0
    known: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """All members as they are now.

    Args:
        states: one per host of the inventory; then those that etcd counts and the inventory does not have.
        alarms: id of a member, kind of alarm; none where there is no quorum.
    """

    states: tuple[MemberState, ...]
    alarms: tuple[tuple[str, str], ...] = ()

    @property
    def voters(self) -> tuple[MemberState, ...]:
        """Members that count for the quorum; where nobody tells, those of the inventory."""
        return tuple(one for one in self.states if one.known is not False and not one.learner)

    @property
    def about(self) -> str:
        """Say whether they serve together."""
        serving, total = sum(one.lacks is None for one in self.voters), len(self.voters)
        needed = total // 2 + 1
        if serving < needed:
            return f"no quorum: of {total} members {needed} must serve, and {serving} do"
        spare = serving - needed
        return f"{serving} of {total} members serve; etcd can do without {spare or 'none'} of them"

    @property
    def well(self) -> bool:
        """Whether every member serves and none has raised an alarm."""
        return not self.alarms and all(one.lacks is None and one.known is not False for one in self.states)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        raised = [{"member": member, "alarm": kind} for member, kind in self.alarms]
        return {"members": [one.as_json() for one in self.states], "alarms": raised, "about": self.about}


def look_at(hosts: Sequence[Host], remote_of: Callable[[str], Remote]) -> States:
    """Ask all members; see `member_states`."""
    states = member_states(hosts, remote_of)
    asked = next((one.host for one in states if one.lacks is None), None)
    try:
        return States(states=states, alarms=alarms(remote_of(asked)) if asked else ())
    except KubeforgeError:  # the quorum went meanwhile
        return States(states=states)


def state_of(remote: Remote) -> MemberState:
    """Ask the member on a host.

    Raises:
        OperationFailed: it does not answer.
    """
    (row,) = json.loads(remote.run(etcdctl("endpoint", "status", "-w", "json")).stdout)
    status = row["Status"]
    mine = status["header"]["member_id"]
    return MemberState(
        host=remote.host,
        lacks=lacks_health(remote),
        id=f"{mine:x}",
        learner=bool(status.get("isLearner")),
        leader=status.get("leader") == mine,
        version=status["version"],
        revision=int(status["header"]["revision"]),
        size=int(status.get("dbSize", 0)),
        used=int(status.get("dbSizeInUse", 0)),
        quota=int(status.get("dbSizeQuota", 0)),
    )


def alarms(remote: Remote) -> tuple[tuple[str, str], ...]:
    """Return the alarms that members have raised: id of the member, `NOSPACE` or `CORRUPT`.

    Raises:
        OperationFailed: there is no quorum.
    """
    told = json.loads(remote.run(etcdctl("alarm", "list", "-w", "json")).stdout)
    return tuple(
        (f"{row.get('memberID', 0):x}", _ALARMS.get(row.get("alarm"), "unknown")) for row in told.get("alarms", ())
    )


def member_states(hosts: Sequence[Host], remote_of: Callable[[str], Remote]) -> tuple[MemberState, ...]:
    """Ask all members side by side, and one that serves about the membership.

    Args:
        hosts: of the members.
        remote_of: host name -> Remote.

    Returns:
        One per host, in order; then those that etcd counts and the inventory does not have.
    """

    def ask(host: Host) -> MemberState:
        try:
            return state_of(remote_of(host.name))
        except KubeforgeError as error:
            return MemberState(host=host.name, lacks=_why(error, host, remote_of))

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        found = list(pool.map(ask, hosts))
    return _with_membership(hosts, found, remote_of)


def _why(error: KubeforgeError, host: Host, remote_of: Callable[[str], Remote]) -> str:
    try:
        return lacks_health(remote_of(host.name)) or error.cause
    except KubeforgeError as worse:
        return worse.cause


def _with_membership(
    hosts: Sequence[Host], found: Sequence[MemberState], remote_of: Callable[[str], Remote]
) -> tuple[MemberState, ...]:
    asked = next((one.host for one in found if one.lacks is None), None)
    try:
        listed = members(remote_of(asked)) if asked else None
    except KubeforgeError:  # the quorum went meanwhile: then the members' own words are all there is
        listed = None
    told = [_known(host, one, listed) for host, one in zip(hosts, found, strict=True)]
    own = {host.name for host in hosts} | {peer_url(host) for host in hosts}
    return (*told, *(_stranger(one) for one in listed or () if not own & {one.name, *one.peer_urls}))


def _known(host: Host, state: MemberState, listed: Sequence[Member] | None) -> MemberState:
    """Add what the others know of a member."""
    own = replace(state, peer_url=peer_url(host))
    if listed is None:
        return own
    entry = next((one for one in listed if one.name == host.name or own.peer_url in one.peer_urls), None)
    return replace(own, known=False) if entry is None else replace(own, known=True, id=entry.id, learner=entry.learner)


def _stranger(one: Member) -> MemberState:
    return MemberState(
        host=one.name or "(never started)",
        lacks="the inventory has no such host",
        id=one.id,
        peer_url=" ".join(one.peer_urls),
        learner=one.learner,
        known=True,
    )
