"""Members of a living etcd: one that comes back without its data, one that must serve, one that waits for its turn.

ADR 0060. A member without data never goes on under its old id: what it promised under that id is forgotten, and etcd
panics at it. The id is removed, and the member comes as a learner, which promises nothing until it has everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import (
    Member,
    NotYet,
    add_learner,
    lacks_health,
    lives,
    members,
    not_yet,
    promote,
    remove_member,
)
from kubeforge.cluster.etcd import revision as revision_of
from kubeforge.cluster.etcd_survey import Survey, Verdict, quorum_lost
from kubeforge.cluster.evidence import unit_log
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.manifests.etcd import peer_url
from kubeforge.operations.model import Change, Entry, Operation, Verb
from kubeforge.spec.paths import ETCD_DEADLINE, ETCD_MEMBER, ETCD_TURN_DEADLINE, ETCD_WAL
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act
from kubeforge.transport.base import Remote

__all__ = ["FounderTurn", "MemberJoins", "MemberServes", "MemberSpared", "QuorumKept"]

_UNWRITTEN: Final = 1
_EMPTY_AGAIN: Final = (
    f"where its data are damaged, give them up and let it come back empty: move {ETCD_MEMBER} away on the host, "
    "then kubeforge apply"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FounderTurn(Action):
    """Founders start one after the other, each when the one before lives.

    Before it serves its peers, a member asks each of them for a hash (InitialCorruptCheck) and waits seven seconds for
    one that listens and does the same; one that is not there yet, or serves, costs nothing.

    Args:
        after: the host before.
    """

    after: str

    @property
    def title(self) -> str:
        """Names what it is about."""
        return "etcd.turn"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - its task gives it only to founders
        """Its turn comes."""
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait, but not for ever: a founder whose turn never came still founds, only later."""
        remote = run.remote_of(self.after)
        condition = Condition(
            name=f"the member on {self.after} lives",
            lacks=lambda: None if lives(remote) else "it does not answer",
            deadline=ETCD_TURN_DEADLINE,
        )
        try:
            await_condition(condition, run, step=self.title)
        except DeadlineExceeded as late:
            run.say(f"goes on by itself: {late.cause}")
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=f"starts when the member on {self.after} lives")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumKept(Action):
    """Refuses a control plane whose etcd, on hosts of its own, will not serve: what follows would wait for nothing."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "etcd.quorum"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the members, until one serves."""
        names = [host.name for host in run.context.inventory.etcd_members]
        founded = [name for name in names if _has_data(run, name)]
        if founded and all(_health(run, name) is not None for name in founded):
            found = etcd_runs.surveyed(run)
            if found.verdict is Verdict.LOST:
                raise quorum_lost(found, host=run.context.host.name, step=self.title)
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpared(Action):
    """A service that will be restarted is one that the others can do without for a moment.

    Args:
        changes: whether its unit will be another one.
    """

    changes: bool

    @property
    def title(self) -> str:
        """Names what it is about."""
        return "etcd.spared"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Due where something it starts with changes. Of one or two members none can be spared, ever."""
        due = self.changes or any(title in run.expected.changed for title in etcd_runs.LISTENS)
        return [self._change()] if due and len(run.context.inventory.etcd_members) > 2 else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait until more than half of the members serve without this one."""
        total, mine = len(run.context.inventory.etcd_members), run.context.host.name

        def lacks() -> str | None:
            found = etcd_runs.surveyed(run)
            if len(set(found.serving) - {mine}) > total // 2:
                return None
            return "; ".join(one.about for one in found.standings if one.lacks and one.host != mine)

        condition = Condition(
            name="etcd can do without this member for a moment",
            lacks=lacks,
            deadline=ETCD_DEADLINE,
            remedy="nothing was changed here; bring back the members that do not serve, then apply again",
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why="restarts when etcd can do without it for a moment")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberServes(Action):
    """A member serves and votes.

    Args:
        name: the action's title.
        alone: it is enough that it lives where others are still to come: founders, or members that were all stopped.
    """

    name: str = "etcd.ready"
    alone: bool = False

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Wait where something changed, or where it does not serve."""
        if not _has_data(run, run.context.host.name):
            return [self._change("after the changes above")]
        why = _health(run, run.context.host.name)
        if why is not None:
            self._refuse(run)
            return [self._change(why)]
        return [self._change("after the changes above")] if run.expected.changed else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait; a learner that an earlier run left behind is promoted."""
        bereft = etcd_runs.Bereft(run.remote, run.context.cluster, run.context.host)
        condition = Condition(
            name="the etcd member serves",
            lacks=lambda: bereft.seen(self._lacks(run)),
            deadline=ETCD_DEADLINE,
            evidence=lambda: etcd_runs.log(run.remote, run.context.cluster),
            remedy=_EMPTY_AGAIN,
        )
        await_condition(condition, run, step=self.title)
        return [self._change("it serves")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why if why == "it serves" else f"wait for etcd: {why}")

    def _lacks(self, run: ActionContext) -> str | None:
        why = lacks_health(run.remote)
        if why is None or (self.alone and lives(run.remote) and self._is_early(run)):
            return None
        if "learner" in why:
            return _promoted(run) or why
        return why

    def _is_early(self, run: ActionContext) -> bool:
        """Whether it cannot serve yet, whatever it does: those that will make a quorum with it do not run."""
        if revision_of(run.remote) == _UNWRITTEN:
            return True
        found = etcd_runs.surveyed(run)
        running = sum(lives(run.remote_of(one.host)) for one in found.holding)
        return found.verdict is Verdict.STARTS and running <= len(found.standings) // 2

    def _refuse(self, run: ActionContext) -> None:
        """Refuse where nobody serves and nobody will, and where the others have taken the member out."""
        found = etcd_runs.surveyed(run)
        host = run.context.host
        if found.verdict is Verdict.LOST:
            raise quorum_lost(found, host=host.name, step=self.title)
        if found.serving and not _is_listed(run, run.remote_of(found.serving[0])):
            raise UnfitHost(
                "etcd goes on without this member, which still has data of the time before",
                host=host.name,
                step=self.title,
                remedy=f"let it come back empty: move {ETCD_MEMBER} away on the host, then kubeforge apply",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoins(Action):
    """A member without data comes into an etcd that lives; or is founded late, where it has not begun to live.

    Args:
        founding: makes its data as a founder's.
    """

    founding: tuple[Operation, ...]

    @property
    def title(self) -> str:
        """Names what it does."""
        return "etcd.join"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say how it comes in.

        Raises:
            QuorumLost: nobody is left whom it could join.
        """
        found = etcd_runs.surveyed(run)
        if found.verdict is Verdict.LOST:
            raise quorum_lost(found, host=run.context.host.name, step=self.title)
        if found.verdict is Verdict.UNBORN:
            return [self._change("is founded with the others, which wait for it")]
        if found.verdict is Verdict.STARTS:
            return [self._change("joins without data, once the others serve")]
        known = _entry(run, run.remote_of(found.serving[0]))
        lost = "" if known is None else f"its data are lost: member {known.id} is removed, and it "
        return [self._change(f"{lost}joins as a learner, is filled by the others and promoted")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Join; one member at a time, as etcd takes no second learner."""
        founds = self._awaited(run) is Verdict.UNBORN
        if founds:
            act(run, self.founding, step=self.title)
            return [self._change("was founded with the others")]
        with run.context.vault.once("etcd.membership", threading.Lock):
            peer = run.remote_of(etcd_runs.surveyed(run).serving[0])
            self._stop(run)
            self._leave(run, peer)
            listed = self._announce(run, peer)
            self._fill(run, peer, listed)
            self._settle(run)
            self._wait(run, "the learner is promoted", lambda: _promoted(run))
            self._wait(run, "the etcd member serves", lambda: lacks_health(run.remote))
        return [self._change("came in without data, and was promoted")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)

    def _awaited(self, run: ActionContext) -> Verdict:
        """Wait until the others serve, or it is clear that they wait for this member."""
        last: list[Survey] = []

        def lacks() -> str | None:
            last[:] = [etcd_runs.surveyed(run)]
            if last[0].verdict is Verdict.LOST:
                raise quorum_lost(last[0], host=run.context.host.name, step=self.title)
            waits = last[0].verdict is Verdict.STARTS
            return "; ".join(one.about for one in last[0].standings) if waits else None

        self._wait(run, "the other members serve", lacks)
        return last[0].verdict

    def _stop(self, run: ActionContext) -> None:
        """End what may run here without data, and clear what it left. Never where there are data after all."""
        context = run.context
        act(run, etcd_runs.stopped(context.cluster), step=self.title)
        etcd_runs.end(run.remote, context.cluster, context.host)
        self._wait(run, "etcd without data has ended", partial(etcd_runs.still_runs, run.remote, context.host))
        run.remote.run(["sh", "-euc", '[ ! -e "$1" ]; rm -rf --one-file-system -- "$2"', "sh", ETCD_WAL, ETCD_MEMBER])

    def _leave(self, run: ActionContext, peer: Remote) -> None:
        """Take the old id out; also one that an earlier run added and could not start."""

        def lacks() -> str | None:
            known = _entry(run, peer)
            if known is None:
                return None
            run.say(f"removes the member {known.id}, whose data are lost")
            return not_yet(lambda: remove_member(peer, known)) or "it is being removed"

        self._wait(run, "the old member is removed", lacks)

    def _announce(self, run: ActionContext, peer: Remote) -> Sequence[Member]:
        host = run.context.host
        listed: list[Member] = []
        self._wait(
            run,
            "etcd takes a new member",
            lambda: not_yet(lambda: listed.extend(add_learner(peer, host.name, peer_url(host)))),
        )
        return listed

    def _fill(self, run: ActionContext, peer: Remote, listed: Iterable[Member]) -> None:
        """Let it join, until it knows the others and they know it."""
        context = run.context
        act(run, [etcd_runs.data_directory(context.cluster)], step=self.title)
        names = {one.name: url for one in listed for url in one.peer_urls}
        etcd_runs.join(run.remote, context.cluster, context.host, names)

        def lacks() -> str | None:
            known = _entry(run, peer)
            return None if known is not None and known.name else "it has not told the others its name"

        self._wait(run, "the new member has joined", lacks)

    def _settle(self, run: ActionContext) -> None:
        """On with the process that starts with data only. It does not vote yet, so nobody misses it meanwhile."""
        act(run, [etcd_runs.no_joiner(), *etcd_runs.started(run.context)], step=self.title)

    def _wait(self, run: ActionContext, name: str, lacks: Callable[[], str | None]) -> None:
        condition = Condition(
            name=name,
            lacks=lacks,
            deadline=ETCD_DEADLINE,
            evidence=lambda: [*unit_log(run.remote, etcd_runs.JOINER), *etcd_runs.log(run.remote, run.context.cluster)],
            remedy="mend the cause and run the same command again: the member begins anew",
        )
        await_condition(condition, run, step=self.title)


def _has_data(run: ActionContext, name: str) -> bool:
    return isinstance(run.context.seen[name].paths.get(ETCD_WAL), Entry)


def _health(run: ActionContext, name: str) -> str | None:
    """Return what a member lacks, asked once while planning."""
    return run.context.vault.once(("etcd.health", name), lambda: lacks_health(run.remote_of(name)))


def _entry(run: ActionContext, peer: Remote) -> Member | None:
    """Return what etcd knows of this host's member: by its name, or by its address where it never started."""
    host = run.context.host
    known = [one for one in members(peer) if one.name == host.name or peer_url(host) in one.peer_urls]
    return known[0] if known else None


def _is_listed(run: ActionContext, peer: Remote) -> bool:
    """Whether etcd still counts this host's member; where it cannot tell just now, nothing is concluded."""
    try:
        return _entry(run, peer) is not None
    except NotYet:
        return True


def _promoted(run: ActionContext) -> str | None:
    """Promote this host's member where it is a learner; say why it cannot be yet, None where it votes."""
    serving = etcd_runs.surveyed(run).serving
    if not serving:
        return "nobody serves who could promote it"
    peer = run.remote_of(serving[0])

    try:
        known = _entry(run, peer)
        if known is not None and known.learner:
            promote(peer, known)
    except NotYet as error:
        return error.cause
    return "etcd does not know it" if known is None else None
