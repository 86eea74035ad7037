"""A member of etcd that leaves for good, while the others live on: they are told before it stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import Member, members, not_yet, remove_member
from kubeforge.cluster.etcd_survey import survey
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.etcd import peer_url
from kubeforge.operations.model import Change, Entry, Queries, Verb
from kubeforge.spec.paths import ETCD_DEADLINE, ETCD_WAL
from kubeforge.tasks.registry import task
from kubeforge.tasks.reset import leaving
from kubeforge.transport.base import Remote

__all__ = ["MemberLeaves", "leave"]


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(stats=(ETCD_WAL,))


@task("reset.leave_etcd", reads=_reads)
def leave(context: Context) -> Iterator[Action]:
    """Take the member out of an etcd that lives on without it."""
    if isinstance(context.seen[context.host.name].paths.get(ETCD_WAL), Entry):
        yield MemberLeaves()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeaves(Action):
    """This host's member is no member any more; only where others stay, and go on with a quorum."""

    @property
    def title(self) -> str:
        """Names what is left."""
        return "etcd.leave"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Count what stays.

        Raises:
            UnfitHost: those that stay could not go on.
        """
        peer = self._peer(run)
        if peer is None:
            return []
        listed = members(peer)
        mine = [one for one in listed if _is_of(run.context.host, one)]
        if not mine:
            return []
        self._refuse(run, listed)
        return [self._change(f"member {mine[0].id} leaves etcd")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Remove it; one at a time."""
        with run.context.vault.once("etcd.membership", threading.Lock):
            condition = Condition(
                name="the member is no member any more", lacks=partial(self._lacks, run), deadline=ETCD_DEADLINE
            )
            await_condition(condition, run, step=self.title)
        return [self._change("left etcd")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.REMOVE, why=why)

    def _lacks(self, run: ActionContext) -> str | None:
        peer = self._peer(run)
        if peer is None:
            return "none of those that stay serves"
        mine = [one for one in members(peer) if _is_of(run.context.host, one)]
        return next(filter(None, (not_yet(partial(remove_member, peer, one)) for one in mine)), None)

    def _staying(self, run: ActionContext) -> list[Host]:
        gone = leaving(run.context)
        return [host for host in run.context.inventory.etcd_members if host.name not in gone]

    def _peer(self, run: ActionContext) -> Remote | None:
        """Return one of those that stay and serve; a cluster that goes as a whole is not asked."""
        staying = self._staying(run)
        found = survey([host.name for host in staying], run.remote_of)
        if staying and not found.serving:
            about = "; ".join(one.about for one in found.standings)
            run.remark(f"etcd cannot be told that {run.context.host.name} leaves: {about}")
        return run.remote_of(found.serving[0]) if found.serving else None

    def _refuse(self, run: ActionContext, listed: Sequence[Member]) -> None:
        staying = self._staying(run)
        serving = survey([host.name for host in staying], run.remote_of).serving
        going = [host for host in run.context.inventory.etcd_members if host.name in leaving(run.context)]
        left = [one for one in listed if not one.learner and not any(_is_of(host, one) for host in going)]
        needed = len(left) // 2 + 1
        if len(serving) < needed:
            raise UnfitHost(
                f"etcd would lose its quorum: of the {len(left)} members that stay {needed} must serve, "
                f"and {len(serving)} {'does' if len(serving) == 1 else 'do'}",
                host=run.context.host.name,
                step=self.title,
                remedy="bring the other members back first: kubeforge status says what they lack",
            )


def _is_of(host: Host, member: Member) -> bool:
    return member.name == host.name or peer_url(host) in member.peer_urls
