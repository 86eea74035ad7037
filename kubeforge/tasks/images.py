"""Container images a node needs before it can start anything, so that nothing waits for a registry later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.artifacts.catalogue import ARCHIVES
from kubeforge.engine.model import Context
from kubeforge.operations.model import Operation
from kubeforge.spec.model import Cni
from kubeforge.spec.nodes import runs_workloads
from kubeforge.tasks.parts import image_archive, pulled
from kubeforge.tasks.registry import task

__all__ = ["load"]

_CONTROL_PLANE: Final = "control-plane"
_NODE: Final = "node"
_ADDONS: Final = "addons"


@task("images.load")
def load(context: Context) -> Iterator[Operation]:
    """Import the archives this node needs, or pull their images where there are none."""
    if not context.host.is_node:
        return
    own = _CONTROL_PLANE if context.host in context.inventory.control_planes else _NODE
    archives = [own]
    if context.cluster.addons.ingress is not None and runs_workloads(context.cluster, context.inventory, context.host):
        archives.append(_ADDONS)
    for name in archives:
        archive = image_archive(context, name)
        yield archive if archive is not None else pulled(context, *_needed(context, name))


def _needed(context: Context, archive: str) -> list[str]:
    """Return what is pulled: not what this cluster has no use for."""
    spec = context.cluster
    unused = set() if spec.network.cni is Cni.FLANNEL else {"flannel"}
    names = ["traefik"] if archive == _ADDONS else list(ARCHIVES[archive])
    return [name for name in names if name not in unused and name in context.parts.images]
