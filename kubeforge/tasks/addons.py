"""What runs on the cluster: kube-proxy, the pod network, DNS, ingress; and the files that addons need on nodes."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.addons import kube_proxy, registry
from kubeforge.addons.model import Cluster
from kubeforge.cluster.kinds import Obj, key_of
from kubeforge.cluster.programs import refused_proxy_config
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.tasks.objects import Objects
from kubeforge.tasks.registry import task

__all__ = ["apply", "host_files"]


@task("addons.host_files")
def host_files(context: Context) -> Iterator[Operation]:
    """Files that the chosen addons need on every node before its kubelet starts."""
    if not context.host.groups & {CONTROL_PLANE, WORKERS}:
        return
    for path, text in registry.host_files(context.cluster).items():
        yield Directory(path=path.rpartition("/")[0])
        yield File(path=path, content=text.encode())


@task("addons.apply")
def apply(context: Context) -> Iterator[Action]:
    """Objects of all addons, by server-side apply."""
    cluster = Cluster(
        spec=context.cluster, inventory=context.inventory, facts=context.facts, images=context.parts.images
    )
    yield Objects(name="addons.apply", objects=tuple(registry.objects(cluster)), judge=_judge)


def _judge(run: ActionContext, obj: Obj) -> None:
    """Have kube-proxy read its configuration first: all nodes get it at once, and none would say that it is wrong."""
    if key_of(obj) != ("v1", "ConfigMap", *kube_proxy.WORKLOAD[1:]):
        return
    image = run.context.parts.images[kube_proxy.WORKLOAD[2]]
    told = refused_proxy_config(run.remote, image, obj["data"][kube_proxy.CONFIG])
    if told is None:
        run.remark(f"{image} could not be asked whether it takes its configuration")
    elif told:
        raise UnfitHost(
            "kube-proxy does not take what cluster.yml gives it; nothing was changed",
            host=run.context.host.name,
            step="addons.apply",
            evidence=told,
            remedy="correct kube_proxy in cluster.yml by what it said",
        )
