"""Snapshots of etcd that somebody asks for: by hand, or before an upgrade. Those by schedule: `snapshot_schedule`.

One member sends its database, and it is verified there; the other hosts of etcd get copies, so that a host that is
lost takes no snapshot with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.etcd import etcdctl, lacks_health
from kubeforge.cluster.snapshot_copies import keep_pki, let_go, pass_on
from kubeforge.cluster.snapshots import Snapshot, kept_on, parse_snapshot
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import InputError, KubeforgeError, OperationFailed, Problem, UnfitHost
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd_snapshot import kept_pki, snapshot_script
from kubeforge.operations.model import Change, Entry, Queries, Verb
from kubeforge.spec.paths import ETCD_DB, ETCD_WAL, SNAPSHOT_DEADLINE, SNAPSHOTS
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.etcd_data import halted
from kubeforge.tasks.registry import task
from kubeforge.tasks.restoration import concerned
from kubeforge.tasks.rights import need_root

__all__ = ["REASON", "SNAPSHOT_FROM", "SaveSnapshot", "save", "taken", "taker"]

SNAPSHOT_FROM: Final = "etcd_snapshot_from"
"""Variable that names the host whose member is taken; where none is given, the first that serves."""
REASON: Final = "etcd_snapshot_reason"
"""Variable with the words that say why."""

_WORDS: Final = re.compile(r"[A-Za-z0-9 .,:/_+>-]{1,80}")
_STEP: Final = "etcd.snapshot"


@task("etcd.snapshot")
def save(context: Context, *, reason: str = "by hand", unless_done_by: str = "") -> Iterator[Action]:
    """Take a snapshot of etcd out of one member, verify it, and keep it on all hosts of etcd."""
    if context.host in context.inventory.etcd_members:
        need_root(context, _STEP)
        said = str(context.vars.get(REASON) or reason)
        yield SaveSnapshot(reason=said, unless_done_by=unless_done_by or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSnapshot(Action):
    """A snapshot of etcd. To be given on every host of etcd: one of them takes it, the others do nothing.

    Args:
        reason: why, in words: letters, digits, blanks and `.,:/_+>-`.
        unless_done_by: a word of the caller's, by which it finds the snapshot again: where one is kept under it, none
            is taken. None: it is taken whatever there is.
        kubernetes: version of the cluster, for members without an API server beside them; empty: that of cluster.yml.
    """

    reason: str
    unless_done_by: str | None = None
    kubernetes: str = ""

    def __post_init__(self) -> None:
        for word in (self.reason, self.unless_done_by or "-"):
            if not _WORDS.fullmatch(word):
                message = f"`{word}` cannot be written beside a snapshot: up to 80 letters, digits, blanks and .,:/_+>-"
                raise InputError([Problem(message=message, field="reason")])

    @property
    def title(self) -> str:
        """Its task's name."""
        return _STEP

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say which member is taken.

        Raises:
            UnfitHost: no member serves, and nobody named one whose data shall be taken.
        """
        if run.context.host.name != taker(run) or self._done(run) is not None:
            return []
        sent = _lacks(run) is None
        if not sent and not isinstance(run.remote.observe(Queries(stats=(ETCD_WAL,))).paths[ETCD_WAL], Entry):
            raise UnfitHost(
                f"the member does not serve, and has no data: {_lacks(run)}",
                host=run.context.host.name,
                step=self.title,
                remedy="take another one: --from HOST; kubeforge status shows them all",
            )
        how = "sent by this member" if sent else "copied from this member's data, while it is stopped for a moment"
        return [self._change(f"{how}, verified, and kept on {_named(run.context.inventory.etcd_members)}")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Take it and pass it on.

        Raises:
            OperationFailed: it cannot be taken, or what came is not what etcd sent.
        """
        if self._done(run) is not None:
            return []
        about = self._take(run)
        snapshot = _parsed(about, run)
        taken(run.context)[self.unless_done_by or ""] = snapshot
        run.say(f"snapshot {snapshot.name}: revision {snapshot.revision}, {snapshot.size} bytes")
        holders = [run.context.host.name, *self._pass_on(run, snapshot, about)]
        return [self._change(f"{snapshot.name} is kept on {', '.join(holders)}")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=f"{self.reason}: {why}")

    def _done(self, run: ActionContext) -> Snapshot | None:
        """Return the snapshot that was taken under the caller's word already."""
        if self.unless_done_by is None:
            return None
        hosts = [host.name for host in run.context.inventory.etcd_members]
        found = [one for one in kept_on(hosts, run.remote_of).all if one.key == self.unless_done_by]
        if found:
            run.say(f"snapshot {found[-1].name} was taken already")
            taken(run.context)[self.unless_done_by] = found[-1]
        return found[-1] if found else None

    def _take(self, run: ActionContext) -> bytes:
        """Run the script there; return what it says of the snapshot."""
        context = run.context
        script = snapshot_script(
            context.cluster, context.inventory, context.host, etcdctl=etcdctl(), kubernetes=self.kubernetes
        ).encode()
        asked = ["sh", "-s", "--", "asked", self.reason, self.unless_done_by or ""]
        if _lacks(run) is None:
            return run.remote.run(asked, stdin=script, deadline=2 * SNAPSHOT_DEADLINE).stdout
        with halted(run, context.host, step=self.title):
            return run.remote.run([*asked, ETCD_DB], stdin=script, deadline=2 * SNAPSHOT_DEADLINE).stdout

    def _pass_on(self, run: ActionContext, snapshot: Snapshot, about: bytes) -> Iterator[str]:
        """Copy it to the other hosts; yield those that have it. One that does not answer is told, and left out."""
        context = run.context
        members = context.inventory.etcd_members
        for host in concerned(context.inventory):
            if host == context.host:
                continue
            try:
                remote = run.remote_of(host.name)
                if host in members:
                    pass_on(run.remote, remote, snapshot)
                    yield host.name
                else:
                    keep_pki(remote, snapshot, about, kept_pki(context.cluster, context.inventory, host))
                let_go(remote, snapshot, keep=context.cluster.etcd.snapshots.keep)
            except KubeforgeError as error:
                run.remark(f"{host.name} keeps no copy of {snapshot.name}: {error.cause}")


def taken(context: Context) -> dict[str, Snapshot]:
    """Return the snapshots that this run has taken or found, by the caller's word (empty: none was given)."""
    return context.vault.once("etcd.snapshot.taken", dict[str, Snapshot])


def taker(run: ActionContext) -> str:
    """Return the host whose member is taken; the same for all hosts that ask."""
    members = run.context.inventory.etcd_members
    given = str(run.context.vars.get(SNAPSHOT_FROM, ""))
    if given:
        names = [host.name for host in members]
        if given not in names and run.context.host == members[0]:
            message = f"{given} is no host of etcd; these are: {', '.join(names)}"
            raise InputError([Problem(message=message, field="--from")])
        return given
    found = run.context.vault.once("etcd.snapshot.survey", lambda: etcd_runs.surveyed(run))
    if found.serving:
        return found.serving[0]
    if run.context.host == members[0]:
        holding = [one.host for one in found.holding]
        raise UnfitHost(
            "no member of etcd serves, so none can send a snapshot",
            host=members[0].name,
            step=_STEP,
            evidence=[one.about for one in found.standings],
            remedy=f"take it out of the data of one: --from {holding[0]}" if holding else "no member has data",
        )
    return members[0].name


def _lacks(run: ActionContext) -> str | None:
    """Say why the member on the action's host cannot send a snapshot; None: it can. Asked once."""
    return run.context.vault.once(("etcd.snapshot.lacks", run.context.host.name), lambda: lacks_health(run.remote))


def _parsed(about: bytes, run: ActionContext) -> Snapshot:
    try:
        return parse_snapshot(about)
    except ValueError as error:
        raise OperationFailed(
            f"what was taken does not say what it is: {error}",
            host=run.context.host.name,
            step=_STEP,
            evidence=about.decode(errors="replace").splitlines()[-3:],
            remedy=f"look at {SNAPSHOTS} on the host",
        ) from error


def _named(hosts: Sequence[Host]) -> str:
    return ", ".join(host.name for host in hosts)
