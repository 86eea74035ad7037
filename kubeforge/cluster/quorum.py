"""Can etcd do without some of its members, for a moment or for good? Read-only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kubeforge.cluster.etcd import Member, NotYet, healthy, members
from kubeforge.cluster.processes import processes
from kubeforge.errors import OperationFailed
from kubeforge.manifests.etcd import ETCD
from kubeforge.transport.base import Remote

__all__ = ["Parting", "lacks_quorum_without"]


def lacks_quorum_without(remote: Remote, name: str, endpoints: Sequence[str]) -> str | None:
    """Say why the member on a host must not be stopped; None: it may.

    A member that does not run may always be changed: it cannot get worse. With one member or two, stopping one stops
    all, and nothing can be done about that; then all others must be well, so that it comes back.

    Args:
        remote: the member's host.
        name: of the member.
        endpoints: client URLs of the members that should be there.
    """
    if len(endpoints) == 1 or not processes(remote, ETCD):
        return None
    try:
        voters = [member for member in members(remote, endpoints=endpoints) if not member.learner]
    except (NotYet, OperationFailed) as error:
        return f"etcd has no quorum: {error.cause}"
    others = [member for member in voters if member.name != name]
    serving = healthy(remote, [url for member in voters for url in member.client_urls[:1]])
    well = [member for member in others if set(member.client_urls) & serving]
    needed = min(len(voters) // 2 + 1, len(voters) - 1)
    if len(well) >= needed:
        return None
    sick = ", ".join(member.name or member.id for member in others if member not in well)
    verb = "does" if "," not in sick else "do"
    return f"etcd would lose its quorum without this member: {sick} {verb} not serve, and {len(voters)} are members"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """The arithmetic of members that leave for good, one by one, those that do not serve first. Pure.

    etcd takes a change of its members only while more than half of those that vote serve, and goes on only where more
    than half of those that are left do (etcd.io/docs, "Runtime reconfiguration"; ceil((n+1)/2) of n members).

    Args:
        listed: all members, as etcd names them.
        serving: ids of those that serve now.
        going: ids of those that leave.
    """

    listed: tuple[Member, ...]
    serving: frozenset[str]
    going: frozenset[str]

    @property
    def order(self) -> tuple[Member, ...]:
        """Those that leave, in the order in which they can."""
        leaving = [one for one in self.listed if one.id in self.going]
        return tuple(sorted(leaving, key=lambda one: (not one.learner, one.id in self.serving)))

    @property
    def refusal(self) -> str | None:
        """Why they must not leave; None: they may."""
        if len(self.going) >= len(self.listed):
            return f"no member of etcd would be left of {len(self.listed)}"
        voters = self._voters(self.listed)
        if not self._holds(voters):
            return f"etcd has no quorum now: {self.about}"
        for one in self.order:
            voters = [voter for voter in voters if voter.id != one.id]
            if not self._holds(voters):
                return f"etcd would lose its quorum: {self.about}"
        return None

    @property
    def about(self) -> str:
        """The numbers: `3 members, 3 vote, 2 serve now; without cp1 2 are left, of which 2 must serve, and 2 do`."""
        voters = self._voters(self.listed)
        left = [one for one in voters if one.id not in self.going]
        serve, stay = len(self._served(voters)), len(self._served(left))
        names = ", ".join(one.name or one.id for one in self.listed if one.id in self.going)
        return (
            f"{_many(len(self.listed), 'member')}, {_many(len(voters), 'vote', plural=False)}, "
            f"{_many(serve, 'serve', plural=False)} now; "
            f"without {names} {len(left)} {'is' if len(left) == 1 else 'are'} left, of which {_needed(len(left))} must "
            f"serve, and {stay} {'does' if stay == 1 else 'do'}"
        )

    @property
    def spare(self) -> int:
        """How many of those that are left may fail afterwards."""
        left = [one for one in self._voters(self.listed) if one.id not in self.going]
        return len(self._served(left)) - _needed(len(left))

    def _holds(self, voters: Collection[Member]) -> bool:
        return len(self._served(voters)) >= _needed(len(voters)) > 0

    def _served(self, voters: Collection[Member]) -> list[Member]:
        return [one for one in voters if one.id in self.serving]

    @staticmethod
    def _voters(listed: Collection[Member]) -> list[Member]:
        return [one for one in listed if not one.learner]


def _needed(voters: int) -> int:
    return voters // 2 + 1 if voters else 0


def _many(count: int, word: str, *, plural: bool = True) -> str:
    """Return `3 members`, `1 member`; of a verb `3 vote`, `1 votes`."""
    return f"{count} {word}{'s' if (count != 1) is plural else ''}"
