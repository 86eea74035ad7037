"""May what runs become what cluster.yml says? All that speaks against it is said before anything is touched.

What runs is read from the manifests of the control planes themselves, so no API is needed for that; kubelets are asked
for where the API answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable, UnfitHost
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Change
from kubeforge.spec.releases import minor_of, parse, release
from kubeforge.spec.skew import etcd_upgrade_problem, skew_problem, upgrade_problem
from kubeforge.tasks import living
from kubeforge.tasks.registry import task

__all__ = ["KubeletsFollow", "check", "running"]

_IMAGE: Final = re.compile(r"^ *(?:- )?image: *[\"']?([^\s\"']+)", re.MULTILINE)
_COMPONENTS: Final = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)


@task("upgrade.check", reads=living.reads)
def check(context: Context) -> Iterator[Action]:
    """Refuse a change of versions that Kubernetes or etcd does not support; nothing to do where they stay."""
    if context.host not in context.inventory.control_planes:
        return
    _refuse(context)
    if context.host == context.inventory.control_planes[0]:
        yield KubeletsFollow()


def running(context: Context, host: str) -> dict[str, str]:
    """Return what a control plane runs by its manifests: component -> version without `v`, as far as they tell.

    Args:
        context: of any host.
        host: whose manifests were asked for; see `living.reads`.
    """
    contents = context.seen[host].contents
    found = {}
    for name in (ETCD, *_COMPONENTS):
        version = _version(contents.get(manifest_path(name), b""))
        if version is not None:
            found[name] = version
    return found


def _version(manifest: bytes) -> str | None:
    """Return the version in the tag of a pod's image. Not parsed: that costs every run 6 ms for each manifest."""
    found = _IMAGE.search(manifest.decode(errors="replace"))
    if found is None:
        return None
    version = found.group(1).partition("@")[0].rpartition(":")[2].removeprefix("v")
    try:
        parse(version)
    except ValueError:
        return None
    return version


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
            remedy=_remedy(now.get(API_SERVER, wanted), wanted),
        )


def _remedy(now: str, wanted: str) -> str:
    if parse(wanted) < parse(now):
        return f"set kubernetes in cluster.yml back to {now}"
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
            run.say(f"warning: nobody tells which kubelets there are: {error.cause}")
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
