"""May the last upgrade be taken back, and by which way: asked of all hosts before any is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.snapshots import kept_on
from kubeforge.cluster.upgrade.etcd_versions import EtcdVersions, etcd_versions
from kubeforge.cluster.upgrade.served import holding, served, unknown_before
from kubeforge.engine.generations import read_ledger
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiError, ConnectionFailed, DeadlineExceeded, OperationFailed, UnfitHost
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.static_pod import manifest_path, version_in
from kubeforge.operations.model import Change
from kubeforge.spec.going_back import HostKept, Stand, Verdict, Way, decide
from kubeforge.spec.paths import BIN, GATE_DEADLINE, UPGRADE, UPGRADE_FINISHED, UPGRADE_SERVED
from kubeforge.spec.releases import parse, release
from kubeforge.spec.upgrading import read_finished, read_record
from kubeforge.tasks.registry import task
from kubeforge.tasks.rollback import kept, reads
from kubeforge.tasks.upgrade import running
from kubeforge.tasks.upgrade_record import snapshot_key

__all__ = ["WAY", "MayGoBack", "check"]

WAY: Final = "rollback_way"
"""Variable: `components`, or `snapshot` where a person agreed to lose what was written since."""


@task("rollback.check", reads=reads)
def check(context: Context) -> Iterator[Action]:
    """Refuse a rollback that Kubernetes or etcd forbids, or that needs the snapshot where nobody agreed to that."""
    if context.host == context.inventory.control_planes[0]:
        yield MayGoBack(way=Way(str(context.vars.get(WAY, Way.COMPONENTS))))


@dataclass(frozen=True, slots=True, kw_only=True)
class MayGoBack(Action):
    """The cluster may go back by the way that was chosen. Changes nothing.

    Args:
        way: as a person chose it.
    """

    way: Way

    @property
    def title(self) -> str:
        """Its task's name."""
        return "rollback.check"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Gather what is known, and decide.

        Raises:
            UnfitHost: it may not; all reasons, and the other way where there is one.
        """
        verdict = decide(_stand(run))
        for host, runs in verdict.later.items():
            run.remark(f"what came after the upgrade is taken back on {host}, too: {', '.join(runs)}")
        if verdict.way is self.way:
            return []
        raise UnfitHost(
            _cause(verdict, self.way),
            host=run.context.host.name,
            step=self.title,
            evidence=verdict.why,
            remedy=_remedy(verdict),
        )

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


def _cause(verdict: Verdict, way: Way) -> str:
    if verdict.way is Way.REFUSED:
        return "the last upgrade cannot be taken back; nothing was changed"
    if way is Way.SNAPSHOT:
        return f"to go back to {verdict.old} no snapshot is needed, and it would lose what was written since"
    return f"to go back to {verdict.old} etcd must go back to the snapshot before the upgrade; nothing was changed"


def _remedy(verdict: Verdict) -> str:
    if verdict.way is Way.COMPONENTS:
        return "kubeforge upgrade rollback, without --from-snapshot"
    if verdict.way is Way.SNAPSHOT:
        return "kubeforge upgrade rollback --from-snapshot: it says what is lost, and asks"
    return "kubeforge upgrade apply goes on; kubeforge etcd snapshot list shows which snapshots are kept"


def _stand(run: ActionContext) -> Stand:
    context = run.context
    hosts = [_kept(context, host.name) for host in context.inventory.cluster if host in _concerned(context)]
    begun = [one.record.begun for one in hosts if one.record is not None]
    versions = [running(context, host.name).get(API_SERVER, "") for host in context.inventory.control_planes]
    now = max((version for version in versions if version), key=parse, default=context.cluster.kubernetes)
    told = _etcd(run)
    return Stand(
        hosts=hosts,
        now=now,
        etcd_cluster=told.cluster,
        etcd_before=_etcd_before(run),
        etcd_now=told.server,
        unreadable=_unreadable(run),
        snapshot=_snapshot(run, begun),
    )


def _concerned(context: Context) -> tuple[object, ...]:
    inventory = context.inventory
    return (*inventory.control_planes, *inventory.etcd_members, *inventory.workers)


def _kept(context: Context, host: str) -> HostKept:
    """Return what a host keeps.

    Raises:
        ConnectionFailed: it cannot be asked: what it runs could not be taken back.
    """
    seen = context.seen[host]
    contents = seen.contents
    return HostKept(
        name=host,
        record=read_record(contents.get(UPGRADE)),
        finished=read_finished(contents.get(UPGRADE_FINISHED)),
        generations={one.number: one.run_id for one in read_ledger(seen).generations if one.number},
    )


def _etcd(run: ActionContext) -> EtcdVersions:
    """Return what members say; the newest of both."""
    found = []
    for host in run.context.inventory.etcd_members:
        try:
            found.append(etcd_versions(run.remote_of(host.name)))
        except ConnectionFailed:
            continue
    servers = [one.server for one in found if one.server is not None]
    clusters = [one.cluster for one in found if one.cluster is not None]
    return EtcdVersions(
        server=max(servers, key=parse, default=None),
        cluster=max(clusters, key=parse, default=None),
    )


def _etcd_before(run: ActionContext) -> str | None:
    """Return the version of etcd that ran before, where the upgrade has changed it; the oldest of several."""
    context = run.context
    found = []
    for host in context.inventory.etcd_members:
        back = kept(context, host.name)
        if back is None:
            continue
        restore = back.components.get(manifest_path(ETCD))
        if restore is not None and restore.prior is not None and restore.prior.copy:
            version = _copied(run, host.name, restore.prior.copy)
            found += [] if version is None else [version]
        elif f"{BIN}/etcd" in back.components and host not in context.inventory.control_planes:
            found.append(release(back.record.old).etcd)
    return min(found, key=parse, default=None)


def _copied(run: ActionContext, host: str, path: str) -> str | None:
    try:
        return version_in(run.remote_of(host).read(path))
    except OperationFailed:
        return None


def _unreadable(run: ActionContext) -> tuple[str, ...] | None:
    """Return the resources with objects that the older API servers do not know; None: it cannot be told."""
    contents = run.context.seen[run.context.host.name].contents
    record = read_record(contents.get(UPGRADE))
    first, *before = contents.get(UPGRADE_SERVED, b"").decode(errors="replace").splitlines() or [""]
    if not before or record is None or not first.endswith(f" {record.begun}"):
        return None
    found: list[tuple[str, ...]] = []

    def lacks() -> str | None:
        try:
            api = api_of(run)
            found[:] = [holding(api, unknown_before(before, served(api)))]
        except ApiError as error:
            return error.cause
        return None

    # An upgrade that was cut off may have left the only API server on its way up.
    answers = Condition(name="an API server answers", lacks=lacks, deadline=GATE_DEADLINE)
    try:
        await_condition(answers, run, step="rollback.check")
    except DeadlineExceeded:
        return None
    return found[0]


def _snapshot(run: ActionContext, begun: Sequence[int]) -> str | None:
    hosts = [host.name for host in run.context.inventory.etcd_members]
    keys = {snapshot_key(one) for one in begun}
    found = [one.name for one in kept_on(hosts, run.remote_of).all if one.key in keys]
    return min(found, default=None)  # names sort by time: an upgrade that was begun again has another
