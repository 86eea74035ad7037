"""What a founded cluster holds in its API besides addons: kubeadm's ConfigMaps and RBAC."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.model import Action, Context
from kubeforge.manifests.objects import cluster_objects
from kubeforge.tasks.objects import Objects
from kubeforge.tasks.registry import task
from kubeforge.tasks.trust import reads, trust_of

__all__ = ["objects"]


@task("bootstrap.objects", reads=reads)
def objects(context: Context) -> Iterator[Action]:
    """The ConfigMaps and RBAC of kubeadm, by server-side apply."""
    ca = trust_of(context).certificate("ca")
    listed = cluster_objects(context.cluster, context.inventory, context.parts.images, ca=ca)
    yield Objects(name="bootstrap.objects", objects=tuple(listed))
