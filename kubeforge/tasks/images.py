"""Container images a node needs before it can start anything, so that nothing waits for a registry later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.artifacts.catalogue import ARCHIVES
from kubeforge.engine.model import Context
from kubeforge.inventory.model import Host
from kubeforge.operations.model import Operation
from kubeforge.spec.model import Cni
from kubeforge.spec.nodes import runs_workloads
from kubeforge.tasks.parts import image_archive, pulled
from kubeforge.tasks.registry import task

__all__ = ["load", "references"]

_CONTROL_PLANE: Final = "control-plane"
_NODE: Final = "node"
_ADDONS: Final = "addons"


@task("images.load")
def load(context: Context) -> Iterator[Operation]:
    """Import the archives this node needs, or pull their images where there are none."""
    for name in _archives(context, context.host):
        archive = image_archive(context, name)
        yield archive if archive is not None else pulled(context, *_needed(context, name))


def references(context: Context, host: Host) -> list[str]:
    """Return the references of all images that `load` sees to on a host."""
    arch, parts = context.facts[host.name].arch, context.parts
    found: list[str] = []
    for name in _archives(context, host):
        archive = parts.archives.get((name, arch))
        found += [parts.images[one] for one in _needed(context, name)] if archive is None else archive.images
    return found


def _archives(context: Context, host: Host) -> list[str]:
    """Return the names of the archives a host needs; none where it is no node."""
    if not host.is_node:
        return []
    own = _CONTROL_PLANE if host in context.inventory.control_planes else _NODE
    ingress = context.cluster.addons.ingress is not None
    return [own, _ADDONS] if ingress and runs_workloads(context.cluster, context.inventory, host) else [own]


def _needed(context: Context, archive: str) -> list[str]:
    """Return what is pulled: not what this cluster has no use for."""
    spec = context.cluster
    unused = set() if spec.network.cni is Cni.FLANNEL else {"flannel"}
    names = ["traefik"] if archive == _ADDONS else list(ARCHIVES[archive])
    return [name for name in names if name not in unused and name in context.parts.images]
