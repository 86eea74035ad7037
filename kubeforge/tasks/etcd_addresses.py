"""Members of etcd whose hosts have other addresses: the others are told where they are now. Nothing is lost by it.

A member finds the others by the peer URLs in its data, and no flag changes those (etcd ignores `initial-*` where there
are data). They are changed by the members themselves, more than half of them agreeing (`etcdctl member update`):

- Where one kept its address, all who moved reach it, and its streams carry what it has to say to them: etcd's peers use
  whichever connection there is (rafthttp: a stream is opened by the receiver, and messages go both ways over a pair of
  hosts of which one finds the other). So a quorum comes about by itself.
- Where all have moved, nobody finds anybody. Then some of them, as many as make a quorum with one other, get a way to
  that other by its old address: the address on their own loopback, and a forwarder to the new one. Nobody else sees it.
  Tried with etcd 3.6.16 and three members: they serve 0.5 to 1.3 s later, and know all new URLs 0.2 s after that.

Ids, revisions and whatever was acknowledged stay as they are: it is the same raft. `--force-new-cluster` and restoring
a snapshot, which a quorum that is lost for good needs, would give up what only the others know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import Member, NotYet, lives, members, update_member
from kubeforge.cluster.etcd_survey import Survey
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.etcd import parked_url, peer_url
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.spec.paths import ETCD_DEADLINE
from kubeforge.tasks import etcd_runs, living, moving
from kubeforge.tasks.etcd_way import borrowed, passing_certificate
from kubeforge.tasks.moving import Move
from kubeforge.tasks.registry import task
from kubeforge.tasks.trust import reads as trust_reads

__all__ = ["PeersFollow", "addresses", "telling", "way"]

_TITLE: Final = "etcd.addresses"


def _reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((trust_reads(inventory, host), living.reads(inventory, host), moving.reads(inventory, host)))


@task("etcd.addresses", reads=_reads)
def addresses(context: Context) -> Iterator[Action]:
    """The members learn one another's new addresses."""
    if context.host in context.inventory.etcd_members and moving.moved(context) is not None:
        yield PeersFollow(moves=moving.members_moved(context))


def way(moves: Sequence[Move]) -> tuple[Move, tuple[str, ...]]:
    """Choose whose old address is borrowed, and on which hosts, so that with it they are more than half.

    A host cannot lend itself its own new address; one that another host has now is the second choice, as that one is
    out of reach meanwhile.

    Args:
        moves: of all members.

    Raises:
        UnfitHost: two members have taken each other's addresses.
    """
    news = {move.new for move in moves}
    needed = len(moves) // 2
    for target in sorted(moves, key=lambda move: move.old in news):
        lenders = [other.host for other in moves if other.host != target.host and other.new != target.old]
        if len(lenders) >= needed:
            return target, tuple(lenders[:needed])
    raise UnfitHost(
        f"the members have taken each other's addresses: {', '.join(map(str, moves))}",
        host=moves[0].host,
        step=_TITLE,
        remedy="give one of them an address that none of them had, in the inventory too, and apply again",
    )


def telling(order: Sequence[str], moves: Sequence[Move]) -> list[tuple[str, bool]]:
    """Return hosts in this order, but who has another's old address behind that one.

    etcd knows no two members by one URL ("Peer URLs already exists"). Where they have taken one another's addresses in
    a ring, the last of it that another waits for is parked first: known by a URL that nobody else ever has.

    Args:
        order: hosts of members.
        moves: of at least these.

    Returns:
        Each host, and whether it is parked; one that is parked comes once more.
    """
    by_host = {move.host: move for move in moves}
    found: list[tuple[str, bool]] = []
    left, parked = list(order), set[str]()
    while left:
        held = {by_host[host].old: host for host in left if host not in parked}
        free = [host for host in left if held.get(by_host[host].new, host) == host]
        if free:
            found.append((free[0], False))
            left.remove(free[0])
        else:
            wanted = {by_host[host].new for host in left}
            last = next(host for old, host in reversed(held.items()) if old in wanted)
            found.append((last, True))
            parked.add(last)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersFollow(Action):
    """Every member's peer URL is where its host is now. One host's action does it for all.

    Args:
        moves: of all members that have moved.
    """

    moves: tuple[Move, ...]

    @property
    def title(self) -> str:
        """Its task's name."""
        return _TITLE

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say who is told what.

        Raises:
            UnfitHost: two members have taken each other's addresses.
        """
        if self._all_moved(run):
            way(self.moves)
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Bring the members together, and let them agree; the first host does, the others wait for that."""
        run.context.vault.once(_TITLE, lambda: self._agree(run))
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=f"peer URLs follow: {', '.join(map(str, self.moves))}")

    def _all_moved(self, run: ActionContext) -> bool:
        everybody = {host.name for host in run.context.inventory.etcd_members}
        return len(everybody) > 1 and {move.host for move in self.moves} == everybody

    def _agree(self, run: ActionContext) -> bool:
        self._start(run)
        order = [move.host for move in self.moves]
        with ExitStack() as stack:
            if self._all_moved(run) and not etcd_runs.surveyed(run).serving:
                target, lenders = way(self.moves)
                run.say(f"nobody finds anybody: {', '.join(lenders)} reach {target.host} by its old {target.old}")
                stack.enter_context(passing_certificate(run, target))
                for lender in lenders:
                    stack.enter_context(borrowed(run.remote_of(lender), target))
                order.sort(key=[target.host, *lenders, *order].index)
            self._wait(run, "more than half of the members serve", lambda: _unserved(etcd_runs.surveyed(run)))
            for name, parked in telling(order, self.moves):
                host = run.context.inventory.hosts[name]
                urls = (parked_url(host), peer_url(host)) if parked else (peer_url(host),)
                self._wait(run, f"etcd knows {name} at {urls[0]}", partial(_unknown, run, name, urls))
        return True

    def _start(self, run: ActionContext) -> None:
        """Wait until those that moved run: they must be there to be found."""
        context = run.context
        beside = {
            move.host: etcd_runs.Bereft(run.remote_of(move.host), context.cluster, context.inventory.hosts[move.host])
            for move in self.moves
        }

        def silent(host: str) -> str | None:
            return beside[host].seen(None if lives(run.remote_of(host)) else f"{host} does not answer")

        self._wait(
            run,
            "the members run at their new addresses",
            lambda: "; ".join(filter(None, map(silent, beside))) or None,
        )

    def _wait(self, run: ActionContext, name: str, lacks: Callable[[], str | None]) -> None:
        condition = Condition(
            name=name,
            lacks=lacks,
            deadline=ETCD_DEADLINE,
            evidence=lambda: [line for move in self.moves for line in _log(run, move.host)],
            remedy="mend the cause and apply again: it goes on from here, the old addresses are noted on the hosts",
        )
        await_condition(condition, run, step=self.title)


def _unserved(found: Survey) -> str | None:
    return None if found.serving else "; ".join(one.about for one in found.standings)


def _unknown(run: ActionContext, name: str, urls: Sequence[str]) -> str | None:
    """Say why the members know one of them by none of these peer URLs; tell them the first, where they can be told."""
    serving = etcd_runs.surveyed(run).serving
    if not serving:
        return "nobody serves who could be told"
    peer = run.remote_of(serving[0])
    try:
        known: Member | None = next((one for one in members(peer) if one.name == name), None)
        if known is None:
            return None  # taken out of etcd: that is for `etcd.ready` to say
        if known.peer_urls in [(url,) for url in urls]:
            return None
        update_member(peer, known, urls[0])
    except NotYet as error:
        return error.cause
    return "it is being told"


def _log(run: ActionContext, host: str) -> list[str]:
    return [f"{host}:", *etcd_runs.log(run.remote_of(host), run.context.cluster)]
