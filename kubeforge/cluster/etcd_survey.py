"""What the members of an etcd cluster are like together: who serves, who has data, and what can come of it.

Reads only. Asked where something is amiss, so it may cost a second; a healthy member alone is asked by `lacks_health`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

from kubeforge.cluster.etcd import lacks_health, revision
from kubeforge.errors import KubeforgeError, QuorumLost
from kubeforge.operations.model import Entry, Queries
from kubeforge.spec.paths import ETCD_WAL
from kubeforge.transport.base import Remote

__all__ = ["PUT_BACK", "Standing", "Survey", "Verdict", "quorum_lost", "survey"]

_THREADS = 16
PUT_BACK = (
    "put a snapshot back: kubeforge etcd snapshot list, then kubeforge etcd snapshot restore NAME; or give the cluster "
    "up: kubeforge reset"
)
"""What to do where no member has its data any more."""
_UNWRITTEN = 1  # etcd's revision before the first write


class Verdict(StrEnum):
    """What can come of the members as they are."""

    SERVES = "serves"
    """More than half of them work together."""
    STARTS = "starts"
    """More than half have their data: once they run, etcd serves."""
    UNBORN = "unborn"
    """Some were founded, the others not yet, and nothing was ever written."""
    LOST = "lost"
    """More than half are gone or have lost their data: nobody can write until somebody decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One member.

    Args:
        host: inventory name.
        lacks: why it does not serve; None: it does.
        has_data: whether its data are there; None: the host cannot be asked.
        revision: of its data, asked only where nobody serves; None: not known.
    """

    host: str
    lacks: str | None = None
    has_data: bool | None = True
    revision: int | None = None

    @property
    def about(self) -> str:
        """`cp2 has lost its data`, for where it does not serve."""
        if self.has_data is None:
            return f"{self.host} cannot be asked"
        return f"{self.host} has no data" if not self.has_data else f"{self.host} has its data, but: {self.lacks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All members that the inventory names, in its order."""

    standings: tuple[Standing, ...]

    @property
    def serving(self) -> tuple[str, ...]:
        """Hosts whose members serve."""
        return tuple(one.host for one in self.standings if one.lacks is None)

    @property
    def holding(self) -> tuple[Standing, ...]:
        """Those that have data, serving or not."""
        return tuple(one for one in self.standings if one.has_data)

    @property
    def verdict(self) -> Verdict:
        """What can come of them."""
        if self.serving:
            return Verdict.SERVES
        if len(self.holding) > len(self.standings) // 2:
            return Verdict.STARTS
        reached = all(one.has_data is not None for one in self.standings)
        unwritten = all(one.revision == _UNWRITTEN for one in self.holding)
        return Verdict.UNBORN if reached and unwritten else Verdict.LOST


def survey(hosts: Sequence[str], remote_of: Callable[[str], Remote]) -> Survey:
    """Ask all members, side by side.

    Args:
        hosts: where they are.
        remote_of: host name -> Remote.
    """
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        found = Survey(standings=tuple(pool.map(lambda host: _standing(host, remote_of), hosts)))
        if found.serving:
            return found
        return Survey(standings=tuple(pool.map(lambda one: _with_revision(one, remote_of), found.standings)))


def _standing(host: str, remote_of: Callable[[str], Remote]) -> Standing:
    try:
        remote = remote_of(host)
        lacks = lacks_health(remote)
        if lacks is None:
            return Standing(host=host)
        has_data = isinstance(remote.observe(Queries(stats=(ETCD_WAL,))).paths[ETCD_WAL], Entry)
        return Standing(host=host, lacks=lacks, has_data=has_data)
    except KubeforgeError as error:
        return Standing(host=host, lacks=error.cause, has_data=None)


def _with_revision(standing: Standing, remote_of: Callable[[str], Remote]) -> Standing:
    try:
        return replace(standing, revision=revision(remote_of(standing.host))) if standing.has_data else standing
    except KubeforgeError:
        return standing


def quorum_lost(found: Survey, *, host: str, step: str) -> QuorumLost:
    """Return the error that says who is gone, and by which command somebody decides to go on without them.

    Args:
        found: with verdict LOST.
        host: who finds it.
        step: at what.
    """
    total, holding = len(found.standings), [one.host for one in found.holding]
    absent = [one.host for one in found.standings if one.has_data is None]
    gone = "; ".join(one.about for one in found.standings if not one.has_data)
    ways = [f"bring {' and '.join(absent)} back"] if absent else []
    if holding:
        newest = max(found.holding, key=lambda one: one.revision or 0).host
        ways.append(f"kubeforge etcd recover --from {newest}, then kubeforge apply")
    return QuorumLost(
        f"etcd has lost its quorum: of {total} members {total // 2 + 1} must have their data, "
        f"and {len(holding)} {'has' if len(holding) == 1 else 'have'} ({gone}); nothing was touched",
        host=host,
        step=step,
        remedy="; where that cannot be: ".join(ways) or PUT_BACK,
    )
