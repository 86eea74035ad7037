"""What runs on the cluster: kube-proxy, the pod network, DNS, ingress; and the files that addons need on nodes."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.addons import registry
from kubeforge.addons.model import Cluster
from kubeforge.engine.model import Action, Context
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
    yield Objects(name="addons.apply", objects=tuple(registry.objects(cluster)))
