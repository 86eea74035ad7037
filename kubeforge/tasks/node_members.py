"""Members of etcd whose hosts leave, dead or alive: taken out by those that stay, unless etcd would lose its quorum.

A member that leaves is never asked whether it agrees; one that is dead is not asked at all, by nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import Member, NotYet, healthy, members, not_yet, remove_member
from kubeforge.cluster.etcd_survey import Survey, Verdict, quorum_lost, survey
from kubeforge.cluster.membership import is_of
from kubeforge.cluster.quorum import Parting
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.inventory.membership import LEAVING, REMADE, departing
from kubeforge.inventory.model import Host
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import ETCD_COUNT_DEADLINE, ETCD_DEADLINE
from kubeforge.tasks.registry import task
from kubeforge.transport.base import Remote

__all__ = ["MembersLeave", "leave_etcd"]

_BRING_BACK: Final = (
    "bring the members that do not serve back first (kubeforge status), or let those go that are dead: "
    "kubeforge node remove HOST --dead; where more than half are lost for good: kubeforge etcd recover --from HOST"
)


@task("nodes.leave_etcd")
def leave_etcd(context: Context) -> Iterator[Action]:
    """Take the members of hosts that leave out of etcd; refused, with the arithmetic, where the quorum would go."""
    hosts = departing(context.inventory)
    if hosts and context.inventory.group(REMADE):
        yield MembersLeave(hosts=hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersLeave(Action):
    """These hosts' members are no members any more.

    Args:
        hosts: that leave; what is none of etcd's is none already.
    """

    hosts: tuple[Host, ...]

    @property
    def title(self) -> str:
        """Names what is left."""
        return "nodes.leave_etcd"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Count those that vote, those that serve and those that stay.

        Raises:
            UnfitHost: etcd would lose its quorum, or has none.
        """
        peer, found = self._peer(run)
        parting = self._parting(run, peer, found)
        self._refuse(run, parting)
        if parting.order and not parting.spare:
            run.remark(f"of the members of etcd that are left none may fail: {parting.about}")
        return [self._change(one, parting.about) for one in parting.order]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Take them out, one by one, and count again before each.

        Raises:
            UnfitHost: another member has failed meanwhile; those that were to follow stay.
            DeadlineExceeded: etcd does not take the change.
        """
        done: list[Change] = []
        with run.context.vault.once("etcd.membership", threading.Lock):
            while True:
                peer, parting = self._counted(run)
                if not parting.order:
                    return done
                done.append(self._removed(run, peer, parting.order[0]))

    def _counted(self, run: ActionContext) -> tuple[Remote, Parting]:
        """Count until they may go: where the leader has just left, nobody serves until there is another one."""
        last: list[tuple[Remote, Parting]] = []

        def lacks() -> str | None:
            try:
                peer, found = self._peer(run)
                last[:] = [(peer, self._parting(run, peer, found))]
            except (NotYet, UnfitHost) as error:
                return error.cause
            parting = last[0][1]
            return parting.refusal if parting.order else None

        condition = Condition(
            name="etcd can do without them", lacks=lacks, deadline=ETCD_COUNT_DEADLINE, remedy=_BRING_BACK
        )
        try:
            await_condition(condition, run, step=self.title)
        except DeadlineExceeded:
            if last:
                self._refuse(run, last[0][1])
            raise
        return last[0]

    def _removed(self, run: ActionContext, peer: Remote, member: Member) -> Change:
        def lacks() -> str | None:
            try:
                if all(one.id != member.id for one in members(peer)):
                    return None
            except NotYet as error:
                return error.cause
            return not_yet(lambda: remove_member(peer, member)) or "it is being removed"

        condition = Condition(
            name=f"{member.name or member.id} is no member of etcd any more",
            lacks=lacks,
            deadline=ETCD_DEADLINE,
            remedy=_BRING_BACK,
        )
        await_condition(condition, run, step=self.title)
        return self._change(member, "left etcd")

    def _peer(self, run: ActionContext) -> tuple[Remote, Survey]:
        """Return the host of a member that stays and serves, and what those are like that can be asked.

        Raises:
            UnfitHost: there is none.
        """
        inventory = run.context.inventory
        staying = [host.name for host in inventory.etcd_members]
        found = survey([*staying, *(host.name for host in inventory.group(LEAVING))], run.remote_of)
        serving = [name for name in found.serving if name in staying]
        if serving:
            return run.remote_of(serving[0]), found
        if found.verdict is Verdict.LOST:
            raise quorum_lost(found, host=run.context.host.name, step=self.title)
        raise UnfitHost(
            "no member of etcd that would stay serves",
            host=run.context.host.name,
            step=self.title,
            evidence=[one.about for one in found.standings if one.lacks is not None],
            remedy=_BRING_BACK,
        )

    def _parting(self, run: ActionContext, peer: Remote, found: Survey) -> Parting:
        listed = members(peer)
        hosts = run.context.inventory.hosts
        serving = {one.id for one in listed for name in found.serving if is_of(hosts[name], one)}
        return Parting(
            listed=listed,
            serving=frozenset(serving | self._strangers(run, peer, listed)),
            going=frozenset(one.id for one in listed if any(is_of(host, one) for host in self.hosts)),
        )

    def _strangers(self, run: ActionContext, peer: Remote, listed: Sequence[Member]) -> set[str]:
        """Return the ids of members that serve, of those on hosts that nobody knows: they are asked through etcd."""
        known = (*run.context.inventory.hosts.values(), *run.context.inventory.gone)
        strangers = [one for one in listed if one.client_urls and not any(is_of(host, one) for host in known)]
        urls = healthy(peer, [one.client_urls[0] for one in strangers]) if strangers else frozenset()
        return {one.id for one in strangers if one.client_urls[0] in urls}

    def _refuse(self, run: ActionContext, parting: Parting) -> None:
        if parting.order and parting.refusal:
            raise UnfitHost(
                f"{parting.refusal}; it was left as it is",
                host=run.context.host.name,
                step=self.title,
                remedy=_BRING_BACK,
            )

    @staticmethod
    def _change(member: Member, why: str) -> Change:
        return Change(title=f"etcd member {member.name or member.id}", verb=Verb.REMOVE, why=why)
