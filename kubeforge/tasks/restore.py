"""etcd goes back to a snapshot: the steps of a restore onto the hosts it was taken on. Order: the playbook.

ADR 0076. Everything that writes is stopped first; old data are put aside, never removed; all members are made out of
the same database, with a new cluster id and a revision that nobody has seen; the note goes last, so that a run that was
cut off anywhere is gone on with by the same command. Data that a restore has made are never made a second time by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import revision
from kubeforge.cluster.snapshot_copies import is_kept, pass_on, send
from kubeforge.cluster.snapshots import database
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import KubeforgeError, UnfitHost
from kubeforge.operations.model import Change, Verb
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import COMPONENT_DEADLINE, ETCD_DATA, ETCD_DEADLINE, ETCD_LAST_RESTORE, ETCD_RESTORE
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act
from kubeforge.tasks.control_plane import ApiServes
from kubeforge.tasks.etcd_data import aside, end_member, make_anew
from kubeforge.tasks.etcd_members import FounderTurn, MemberServes
from kubeforge.tasks.registry import task
from kubeforge.tasks.restoration import STEP, concerned, restoration
from kubeforge.tasks.rights import need_root

__all__ = [
    "Brought",
    "DataMade",
    "Ended",
    "KubeletAnew",
    "MemberStarts",
    "Restored",
    "Stopped",
    "api",
    "bring",
    "end",
    "kubelet",
    "make",
    "start",
    "stop",
]

_ROOM: Final = 1.2  # of the database, beside what is there
# $1: a directory, which may be missing
_FREE: Final = (
    'at=$1; while [ ! -e "$at" ]; do at=$(dirname -- "$at"); done; df --output=avail -B1 -- "$at" | tail -n 1'
)


@task("restore.bring")
def bring(context: Context) -> Iterator[Action]:
    """Look whether the snapshot may be restored, say what is lost, and bring it to every host of etcd."""
    if context.host in context.inventory.etcd_members:
        need_root(context, "restore.bring")
        yield Brought()


@task("restore.stop")
def stop(context: Context) -> Iterator[Action]:
    """Stop API servers, controllers and etcd, and what would start them again."""
    if context.host in concerned(context.inventory):
        need_root(context, "restore.stop")
        yield Stopped()


@task("restore.data")
def make(context: Context) -> Iterator[Action]:
    """Put the member's data aside and make them anew out of the snapshot."""
    if context.host in context.inventory.etcd_members:
        yield DataMade()


@task("restore.start")
def start(context: Context) -> Iterator[Action]:
    """Start the member; it serves what the snapshot held."""
    members = context.inventory.etcd_members
    if context.host in members:
        place = members.index(context.host)
        if place:  # together they would wait for each other: see `FounderTurn`
            yield FounderTurn(after=members[place - 1].name)
        yield MemberStarts()
        yield Restored()


@task("restore.kubelet")
def kubelet(context: Context) -> Iterator[Action]:
    """Start the kubelet, or start it anew: it shall know nothing of what was written after the snapshot."""
    if context.host.is_node:
        yield KubeletAnew()


@task("restore.api")
def api(context: Context) -> Iterator[Action]:
    """Wait until the API server of a control plane serves, whatever it runs with."""
    if context.host in context.inventory.control_planes:
        yield ApiServes()


@task("restore.end")
def end(context: Context) -> Iterator[Action]:
    """Take the note away: the restore is over."""
    if context.host in concerned(context.inventory):
        yield Ended()


def _change(title: str, why: str, verb: Verb = Verb.RUN) -> Change:
    return Change(title=title, verb=verb, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought(Action):
    """The snapshot is on this host, whole."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.bring"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say what the restore costs, and where the snapshot comes from.

        Raises:
            InputError, UnfitHost: it cannot be restored here, or there is too little room.
        """
        first = run.context.host == run.context.inventory.etcd_members[0]
        try:
            made = restoration(run)
        except KubeforgeError:
            if first:
                raise
            return []  # the first host says it for all, and nothing is done where one is refused
        self._refuse(run)
        told = [_change(STEP, made.lost)] if first else []
        if is_kept(run.remote, made.snapshot):
            return told
        source = self._source(run) or made.local
        return [*told, _change(self.title, f"{made.snapshot.name} is copied here from {source}")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Copy it, and compare its digest."""
        made = restoration(run)
        if is_kept(run.remote, made.snapshot):
            return []
        source = self._source(run)
        run.remote.run(["rm", "-rf", "--", database(made.snapshot.name).rpartition("/")[0]])  # a damaged copy
        if source:
            pass_on(run.remote_of(source), run.remote, made.snapshot)
        elif made.local is not None:
            send(made.local, run.remote, made.snapshot)
        return [_change(self.title, f"{made.snapshot.name} is here")]

    def _source(self, run: ActionContext) -> str | None:
        """Return the host it comes from; None where it comes from the operator's disk."""
        made = restoration(run)
        others = (name for name in made.holders if name != run.context.host.name)
        return next((name for name in others if is_kept(run.remote_of(name), made.snapshot)), None)

    def _refuse(self, run: ActionContext) -> None:
        made = restoration(run)
        free = int(run.remote.run(["sh", "-euc", _FREE, "sh", ETCD_DATA]).stdout)
        needed = int(made.snapshot.size * _ROOM)
        if free < needed:
            raise UnfitHost(
                f"too little room: the new data need {needed} bytes below {ETCD_DATA}, and {free} are free",
                host=run.context.host.name,
                step=self.title,
                remedy=f"make room there; old data are in {ETCD_DATA}/member.before-*",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Action):
    """Nothing on this host writes to etcd, nor starts what does."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.stop"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """It is stopped, whatever runs now."""
        return [_change(self.title, f"{self._what(run)} stop; pods go on", Verb.STOP)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Leave the note, then stop."""
        context = run.context
        run.remote.write(ETCD_RESTORE, restoration(run).note(begun=True))
        if context.host in context.inventory.control_planes:
            self._stop_control_plane(run)
        if context.host in context.inventory.etcd_members:
            end_member(run, context.host, step=self.title)
        return [_change(self.title, f"{self._what(run)} have stopped", Verb.STOP)]

    @staticmethod
    def _what(run: ActionContext) -> str:
        context = run.context
        plane = ["kubelet", "API server", "controllers"] if context.host in context.inventory.control_planes else []
        etcd = ["etcd"] if context.host in context.inventory.etcd_members else []
        return ", ".join(plane + etcd)

    def _stop_control_plane(self, run: ActionContext) -> None:
        host = run.context.host
        act(run, [Unit(name=etcd_runs.KUBELET, enabled=None, state="stopped")], step=self.title)
        etcd_runs.end_control_plane(run.remote, host)
        condition = Condition(
            name="the control plane has stopped",
            lacks=lambda: etcd_runs.control_plane_runs(run.remote, host),
            deadline=COMPONENT_DEADLINE,
            remedy="see what keeps it on the host (ps), then restore again: it goes on from here",
        )
        await_condition(condition, run, step=self.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMade(Action):
    """The member's data are the snapshot's."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.data"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - the same whatever is there
        """Say that what is there is kept."""
        return [_change(self.title, f"made out of the snapshot; what is there is kept as {ETCD_DATA}/member.before-*")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Make them, unless an earlier run of this restore did."""
        made = restoration(run)
        flags = ["--initial-cluster-token", made.token, "--bump-revision", str(made.bump), "--mark-compacted"]
        if made.snapshot.source == "data":
            flags.append("--skip-hash-check")  # etcd appends a hash to what it sends; ours was compared
        members = run.context.inventory.etcd_members
        make_anew(run, database(made.snapshot.name), made.token, members, flags, step=self.title)
        return [_change(self.title, f"made out of {made.snapshot.name}; what was there: {aside(run.run_id)}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStarts(Action):
    """What runs the member is started."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.start"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - it was stopped above
        """It starts."""
        return [_change(self.title, "etcd starts", Verb.START)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Start it as it ran: a restore changes data and nothing else, and needs no parts."""
        act(run, etcd_runs.again(run.context.cluster), step=self.title)
        return [_change(self.title, "etcd is started", Verb.START)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Action):
    """The member serves, and what it serves are the restored data."""

    @property
    def title(self) -> str:
        """Names what is waited for."""
        return "restore.serves"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - it was stopped above
        """Wait for it."""
        return [_change(self.title, "wait for etcd, and compare its revision")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait until it serves, and knows a revision that only restored data have."""
        MemberServes(name=self.title).run(run)
        wanted = restoration(run).revision

        def lacks() -> str | None:
            now = revision(run.remote)
            return None if now is not None and now >= wanted else f"its revision is {now}, and {wanted} is restored"

        condition = Condition(
            name="what etcd serves are the restored data",
            lacks=lacks,
            deadline=ETCD_DEADLINE,
            evidence=lambda: etcd_runs.log(run.remote, run.context.cluster),
        )
        await_condition(condition, run, step=self.title)
        return [_change(self.title, f"it serves from revision {wanted} on")]


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletAnew(Action):
    """The kubelet runs, and was started after the restore."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.kubelet"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - always due
        """It starts anew."""
        return [_change(self.title, "starts anew; pods go on", Verb.RESTART)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Start it: on a control plane it was stopped, elsewhere it is restarted."""
        plane = run.context.host in run.context.inventory.control_planes
        run.remote.run(["systemctl", "start" if plane else "restart", "--", etcd_runs.KUBELET])
        return [_change(self.title, "started anew", Verb.RESTART)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Action):
    """The note of the restore has become the note of the last one."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "restore.end"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - the note was left above
        """It goes."""
        return [_change(self.title, "the restore is over")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Write down how far revisions have come; then the note goes."""
        run.remote.write(ETCD_LAST_RESTORE, restoration(run).note(begun=False))
        run.remote.run(["rm", "-f", "--", ETCD_RESTORE])
        return [_change(self.title, "the restore is over")]
