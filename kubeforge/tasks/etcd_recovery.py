"""Etcd goes on from one member's data, where more than half of the members are gone for good. A person decides that.

What only the others had is given up. Old data are kept aside on every host. The other members come back by `apply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.etcd_survey import Survey, Verdict, survey
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd import peer_url
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_DB, ETCD_DEADLINE, ETCD_MEMBER
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act
from kubeforge.tasks.registry import task

__all__ = ["RECOVER_FROM", "Recovery", "recover"]

RECOVER_FROM: Final = "etcd_recover_from"
"""Variable that names the host whose data are taken."""

# Clients must not see revisions a second time that they have seen with other content: kubernetes.io, etcd disaster
# recovery; what they watch is compacted, so they list anew.
_BUMP: Final = ("--bump-revision", "1000000000", "--mark-compacted")
# $1 etcdutl, $2 database, $3 data directory, $4 its owner, $5 where the old data go, then the member's own flags.
_RESTORE: Final = (
    'utl=$1 db=$2 data=$3 owner=$4 aside=$5; shift 5; rm -rf "$data/.recovered"; '
    '"$utl" snapshot restore "$db" --skip-hash-check --data-dir "$data/.recovered" "$@"; '
    'chown -R "$owner:" "$data/.recovered"; mv -T "$data/member" "$aside"; '
    'mv -T "$data/.recovered/member" "$data/member"; rmdir "$data/.recovered"'
)
_SECONDS: Final = 300.0  # a database of 8 GiB is written anew


@task("etcd.recover")
def recover(context: Context) -> Iterator[Action]:
    """Make an etcd of one member out of the data of one host."""
    if context.vars.get(RECOVER_FROM) == context.host.name:
        yield Recovery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery(Action):
    """The data of this host become all of etcd."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "etcd.recover"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say whose data are taken, and whose are given up.

        Raises:
            UnfitHost: etcd has its quorum, or can have it; this host is no member, or has no data.
        """
        found = _survey(run)
        self._refuse(run, found)
        others = [one.host for one in found.holding if one.host != run.context.host.name]
        changes = [
            self._change(f"the data on {name} are older or cut off, and are kept aside", name) for name in others
        ]
        return [*changes, self._change("its data become all of etcd, with this member alone; a copy is kept aside")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Put the others' data aside where they can be reached, then take this host's."""
        context, found = run.context, _survey(run)
        self._refuse(run, found)
        done = [self._put_aside(run, one.host) for one in found.holding if one.host != context.host.name]
        self._end(run, context.host)
        flags = ("--name", context.host.name, "--initial-cluster", f"{context.host.name}={peer_url(context.host)}")
        own = (*flags, "--initial-advertise-peer-urls", peer_url(context.host), *_BUMP)
        programs = (f"{BIN}/etcdutl", ETCD_DB, ETCD_DATA, etcd_runs.owner(context.cluster), _aside(run))
        run.remote.run(["sh", "-euc", _RESTORE, "sh", *programs, *own], deadline=_SECONDS)
        act(run, etcd_runs.started(context), step=self.title)
        self._wait(run, "etcd serves with this member alone", run.context.host, serves=True)
        return [*done, self._change(f"its data are all of etcd; what was there before: {_aside(run)}")]

    def _refuse(self, run: ActionContext, found: Survey) -> None:
        name = run.context.host.name
        if name not in [one.host for one in found.holding]:
            raise UnfitHost(
                "there are no data of etcd to go on from",
                host=name,
                step=self.title,
                remedy=f"hosts that have some: {', '.join(one.host for one in found.holding) or 'none'}",
            )
        if found.verdict is not Verdict.LOST:
            about = "serves" if found.serving else "has the data of more than half of its members"
            raise UnfitHost(
                f"etcd {about}: nothing is to be recovered, and nothing was touched",
                host=name,
                step=self.title,
                evidence=[one.about for one in found.standings if one.lacks is not None],
                remedy="kubeforge apply brings the members back; kubeforge status says what they lack",
            )

    def _put_aside(self, run: ActionContext, name: str) -> Change:
        host = run.context.inventory.hosts[name]
        self._end(run, host)
        run.remote_of(name).run(["mv", "-T", "--", ETCD_MEMBER, _aside(run)])
        act(run, etcd_runs.kubelet(run.context.cluster), step=self.title, host=name)
        return self._change(f"the data on {name} are kept aside: {_aside(run)}", name)

    def _end(self, run: ActionContext, host: Host) -> None:
        """End a member in order, so that its database holds everything it knows."""
        spec = run.context.cluster
        act(run, etcd_runs.stopped(spec), step=self.title, host=host.name)
        etcd_runs.end(run.remote_of(host.name), spec, host)
        self._wait(run, f"etcd on {host.name} has ended", host, serves=False)

    def _wait(self, run: ActionContext, name: str, host: Host, *, serves: bool) -> None:
        remote, spec = run.remote_of(host.name), run.context.cluster
        lacks = (lambda: lacks_health(remote)) if serves else (lambda: etcd_runs.still_runs(remote, host))
        condition = Condition(
            name=name, lacks=lacks, deadline=ETCD_DEADLINE, evidence=lambda: etcd_runs.log(remote, spec)
        )
        await_condition(condition, run, step=self.title)

    def _change(self, why: str, host: str = "") -> Change:
        return Change(title=f"{self.title} {host}".strip(), verb=Verb.RUN, why=why)


def _survey(run: ActionContext) -> Survey:
    return survey([host.name for host in run.context.inventory.etcd_members], run.remote_of)


def _aside(run: ActionContext) -> str:
    return f"{ETCD_DATA}/member.before-{run.run_id}"
