"""May an upgrade be taken back, and how: by putting back what ran before, or only from the snapshot? Pure.

Within a minor it always may: Kubernetes changes no storage version in a patch, and etcd's patches share their format.
Across one:

- etcd: once all members are of the newer minor, the cluster version has gone up and an older member is refused
  (etcd.io/docs/v3.6/downgrades; server/etcdserver/version); while one is older, all may go back.
- storage: a storage version advances only after a release that can read it (deprecation policy, rule 4b), so one minor
  back is safe, and more is not; objects of a resource that the older API server does not know would be lost to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from kubeforge.spec.releases import parse
from kubeforge.spec.upgrading import Finished, Record

__all__ = ["HostKept", "Stand", "Verdict", "Way", "decide"]

_MINOR: Final = 2  # numbers in `1.36`


class Way(StrEnum):
    """How an upgrade is taken back."""

    COMPONENTS = "components"
    SNAPSHOT = "snapshot"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKept:
    """What one host keeps of the time before.

    Args:
        name: inventory name.
        record: of its last upgrade; None: it remembers none.
        finished: the record's mark.
        generations: number -> run that made it, of those that are kept.
    """

    name: str
    record: Record | None = None
    finished: Finished | None = None
    generations: Mapping[int, str] = field(default_factory=dict)

    @property
    def later(self) -> tuple[str, ...]:
        """Runs that came after the upgrade had arrived; they are taken back, too."""
        if self.record is None or self.finished is None or self.finished.begun != self.record.begun:
            return ()
        after = self.finished.generation
        return tuple(dict.fromkeys(run for number, run in self.generations.items() if number > after))

    @property
    def lacks(self) -> bool:
        """Whether generations since the upgrade began are folded, so that it cannot be taken back exactly."""
        if self.record is None:
            return False
        kept = [number for number in self.generations if number > 0]
        return bool(kept) and min(kept) > self.record.base + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What is known of a cluster whose upgrade shall be taken back.

    Args:
        hosts: what each keeps.
        now: newest version of an API server that runs.
        etcd_cluster: etcd's cluster version (`3.6`), as its members agree; None: nobody tells.
        etcd_before: version of etcd that ran before, as far as hosts keep its manifest; None: it did not change.
        etcd_now: newest version of a member that runs; None: nobody tells.
        unreadable: resources with objects that the older API server does not know; None: it is not known which.
        snapshot: the snapshot taken before; None: none is kept.
    """

    hosts: Sequence[HostKept]
    now: str
    etcd_cluster: str | None = None
    etcd_before: str | None = None
    etcd_now: str | None = None
    unreadable: tuple[str, ...] | None = ()
    snapshot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an upgrade is taken back.

    Args:
        way: how.
        old: the version that it goes back to; empty where it is refused for want of any.
        why: what forbids the other ways, a sentence each.
        later: host -> runs after the upgrade, which are taken back with it.
    """

    way: Way
    old: str = ""
    why: tuple[str, ...] = ()
    later: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def decide(stand: Stand) -> Verdict:
    """Return how a cluster goes back to what it ran before its last upgrade."""
    records = {host.name: host.record for host in stand.hosts if host.record is not None}
    if not records:
        return Verdict(way=Way.REFUSED, why=("no host remembers an upgrade that could be taken back",))
    olds = sorted({record.old for record in records.values()}, key=parse)
    old = olds[0]
    refusals = [*_folded(stand), *_several(stand, olds)]
    if refusals:
        return Verdict(way=Way.REFUSED, old=old, why=tuple(refusals))
    later = {host.name: host.later for host in stand.hosts if host.later}
    forbidden = tuple(_forbidden(stand, old))
    if not forbidden:
        return Verdict(way=Way.COMPONENTS, old=old, later=later)
    if stand.snapshot is None:
        none = "no snapshot is kept that was taken before the upgrade"
        return Verdict(way=Way.REFUSED, old=old, why=(*forbidden, none))
    return Verdict(way=Way.SNAPSHOT, old=old, why=forbidden, later=later)


def _folded(stand: Stand) -> list[str]:
    gone = [host.name for host in stand.hosts if host.lacks]
    if not gone:
        return []
    return [f"too many runs came after the upgrade: what was there before is not kept any more on {', '.join(gone)}"]


def _several(stand: Stand, olds: Sequence[str]) -> list[str]:
    if len(olds) == 1:
        return []
    told = ", ".join(f"{host.name}: {host.record.old}" for host in stand.hosts if host.record is not None)
    return [f"hosts remember upgrades from different versions, so there is no one state to go back to ({told})"]


def _forbidden(stand: Stand, old: str) -> list[str]:
    """Return what forbids to put back the components alone."""
    found = []
    etcd = _etcd(stand)
    if etcd is not None:
        found.append(etcd)
    minors = parse(stand.now)[1] - parse(old)[1]
    if minors > 1:
        found.append(
            f"from {stand.now} to {old} are {minors} minors; an API server reads what the next one stored, no later one"
        )
    elif minors == 1 and stand.unreadable is None:
        found.append(f"it is not known what the API served at {old}, so objects could be stored that it cannot read")
    elif minors == 1 and stand.unreadable:
        found.append(f"there are objects of resources that {old} does not know: {', '.join(stand.unreadable)}")
    return found


def _etcd(stand: Stand) -> str | None:
    before, now = stand.etcd_before, stand.etcd_now
    if before is None or (now is not None and parse(now)[:_MINOR] == parse(before)[:_MINOR]):
        return None
    if stand.etcd_cluster is None:
        return f"etcd was {before}, and no member tells whether the cluster may go back to that minor"
    if parse(stand.etcd_cluster)[:_MINOR] > parse(before)[:_MINOR]:
        return f"etcd's cluster version is {stand.etcd_cluster} since all members went there; {before} cannot join it"
    return None
