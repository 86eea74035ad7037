"""May what runs become what it shall? All that speaks against it is said before anything is touched.

What runs is read from the manifests of the control planes themselves, so no API is needed for that; kubelets are asked
for where the API answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.addons import registry
from kubeforge.cluster.access import api_of
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable, ConnectionFailed, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.inventory.patterns import select
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.static_pod import manifest_path, version_in
from kubeforge.operations.model import Change, Queries
from kubeforge.spec.paths import UPGRADE, UPGRADE_FINISHED
from kubeforge.spec.releases import minor_of, parse, release
from kubeforge.spec.skew import etcd_upgrade_problem, skew_problem, upgrade_problem
from kubeforge.spec.upgrading import read_open
from kubeforge.tasks import addons as own_addons
from kubeforge.tasks import bootstrap, living
from kubeforge.tasks.registry import task
from kubeforge.tasks.remark import Remark
from kubeforge.tasks.rollouts import AddonsRolledOut
from kubeforge.tasks.trust import reads as trust_reads

__all__ = ["LIMIT", "KubeletsFollow", "addons", "check", "left_behind", "objects", "running", "servers_running"]

_COMPONENTS: Final = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)
_ROLLBACK: Final = "kubeforge upgrade rollback"


LIMIT: Final = "upgrade_limit"
"""Variable: the pattern of hosts that an upgrade is about; unset: all."""


def _reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((living.reads(inventory, host), Queries(reads=(UPGRADE, UPGRADE_FINISHED))))


@task("upgrade.check", reads=_reads)
def check(context: Context) -> Iterator[Action]:
    """Refuse a change of versions that Kubernetes or etcd does not support; nothing to do where they stay."""
    if context.host not in context.inventory.control_planes:
        _refuse_ahead(context)
        return
    _refuse(context)
    if context.host == context.inventory.control_planes[0]:
        yield KubeletsFollow()


def _held_reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((trust_reads(inventory, host), living.reads(inventory, host)))


@task("upgrade.objects", reads=_held_reads)
def objects(context: Context) -> Iterator[Action]:
    """The ConfigMaps and RBAC of kubeadm for the new version, once no API server is older."""
    behind = left_behind(context)
    if not behind:
        yield from bootstrap.objects(context)
        return
    names = ", ".join(behind)
    text = f"kubeadm's ConfigMaps, RBAC, CoreDNS and kube-proxy stay as they are until these are upgraded, too: {names}"
    yield Remark(about="upgrade.objects", text=text)


@task("upgrade.addons", reads=living.reads)
def addons(context: Context) -> Iterator[Action]:
    """CoreDNS, kube-proxy and all other addons of the new version, once no API server is older; and their pods."""
    if not left_behind(context):
        yield from own_addons.apply(context)
        workloads = tuple(one.workload for one in registry.enabled(context.cluster) if one.workload)
        yield AddonsRolledOut(name="upgrade.addons", workloads=workloads)


def running(context: Context, host: str) -> dict[str, str]:
    """Return what a control plane runs by its manifests: component -> version without `v`, as far as they tell.

    Args:
        context: of any host.
        host: whose manifests were asked for; see `living.reads`.
    """
    contents = context.seen[host].contents
    found = {}
    for name in (ETCD, *_COMPONENTS):
        version = version_in(contents.get(manifest_path(name), b""))
        if version is not None:
            found[name] = version
    return found


def servers_running(context: Context) -> dict[str, str]:
    """Return control plane -> version of its API server, of those that can be asked and run one."""
    found = {}
    for host in context.inventory.control_planes:
        try:
            version = running(context, host.name).get(API_SERVER)
        except ConnectionFailed:
            continue
        if version is not None:
            found[host.name] = version
    return found


def left_behind(context: Context) -> dict[str, str]:
    """Return the control planes that a limited upgrade leaves at an older version: name -> what they run."""
    pattern = context.vars.get(LIMIT)
    if pattern is None:
        return {}
    taken = {host.name for host in select(context.inventory, str(pattern), may_be_empty=True)}
    others = [host.name for host in context.inventory.control_planes if host.name not in taken]
    wanted = parse(context.cluster.kubernetes)
    found = {name: running(context, name).get(API_SERVER, "") for name in others}
    return {name: version for name, version in found.items() if version and parse(version) < wanted}


def _refuse_ahead(context: Context) -> None:
    """No kubelet goes before its API servers, where an upgrade is not about these."""
    wanted = context.cluster.kubernetes
    problems = {name: skew_problem("kubelet", wanted, now) for name, now in left_behind(context).items()}
    told = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    if told and context.host.is_node:
        raise UnfitHost(
            f"its kubelet would be newer than API servers that stay as they are; nothing was changed for {wanted}",
            host=context.host.name,
            step="upgrade.check",
            evidence=told,
            remedy=f"the control planes first: kubeforge upgrade apply {wanted} --limit kube_control_plane",
        )


def _refuse(context: Context) -> None:
    wanted = context.cluster.kubernetes
    now = running(context, context.host.name)
    problems: dict[str, str | None] = {name: upgrade_problem(now[name], wanted) for name in _COMPONENTS if name in now}
    if ETCD in now:
        problems[ETCD] = etcd_upgrade_problem(now[ETCD], release(wanted).etcd)
    told = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    if told:
        raise UnfitHost(
            f"what runs here cannot become Kubernetes {wanted}; nothing was changed",
            host=context.host.name,
            step="upgrade.check",
            evidence=told,
            remedy=_remedy(context, now.get(API_SERVER, wanted), wanted),
        )


def _remedy(context: Context, now: str, wanted: str) -> str:
    if parse(wanted) < parse(now):
        record = read_open(context.seen[context.host.name].contents)
        if record is not None:
            return f"an upgrade is under way; go on: kubeforge upgrade apply {record.new}, or back: {_ROLLBACK}"
        return f"set kubernetes in cluster.yml back to {now}; to go back to what ran before an upgrade: {_ROLLBACK}"
    major, minor = parse(minor_of(now))
    # from the right minor only etcd can be too old; a later patch of that minor comes with one that may follow
    step = minor + 1 if upgrade_problem(now, wanted) else minor
    return f"set kubernetes in cluster.yml to a patch of {major}.{step} first, apply, then go on from there"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletsFollow(Action):
    """No kubelet is too old for the API servers that are to come. Changes nothing."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "upgrade.check"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the nodes, where API servers change.

        Raises:
            UnfitHost: some are.
        """
        wanted = run.context.cluster.kubernetes
        if running(run.context, run.context.host.name).get(API_SERVER, wanted) == wanted:
            return []
        try:
            nodes = api_of(run).objects("v1", "Node")
        except ApiUnavailable as error:
            run.remark(f"nobody tells which kubelets there are: {error.cause}")
            return []
        told = [
            f"{node['metadata']['name']}: {problem}"
            for node in nodes
            if (problem := skew_problem("kubelet", node["status"]["nodeInfo"]["kubeletVersion"], wanted)) is not None
        ]
        if told:
            raise UnfitHost(
                f"kubelets would be too old for API servers of {wanted}; nothing was changed",
                host=run.context.host.name,
                step=self.title,
                evidence=told,
                remedy="bring these nodes up to the cluster's present version first, or remove them",
            )
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []
