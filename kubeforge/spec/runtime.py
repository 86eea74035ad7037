"""Where Kubernetes and the container runtime write by themselves: what no plan of ours lists, and a reset must undo."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kubeforge.spec import paths

__all__ = ["RUNTIME_DIRECTORIES", "RUNTIME_FILES", "Depth", "RuntimeDirectory"]


class Depth(StrEnum):
    """How far down what was there before is told from what came since."""

    TREE = "tree"
    """Every path by itself."""
    ENTRIES = "entries"
    """Its entries, each with everything below it: a database lives or goes as a whole."""
    ITSELF = "itself"
    """The directory only; it goes where it is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDirectory:
    """A directory that belongs to Kubernetes, unless somebody used it before.

    Args:
        path: absolute.
        depth: how its content is told apart.
        named: small and an administrator's place, too: what is not known there is named one by one.
    """

    path: str
    depth: Depth = Depth.TREE
    named: bool = False


RUNTIME_DIRECTORIES: Final = (
    RuntimeDirectory(path=paths.KUBERNETES, named=True),
    RuntimeDirectory(path=paths.CNI, named=True),
    RuntimeDirectory(path=paths.KUBELET_PLUGINS, named=True),
    RuntimeDirectory(path=paths.KUBELET),
    RuntimeDirectory(path=paths.ETCD_DATA, depth=Depth.ENTRIES),
    RuntimeDirectory(path=paths.CONTAINERD_DATA, depth=Depth.ENTRIES),
    RuntimeDirectory(path=paths.CONTAINERD_RUN, depth=Depth.ENTRIES),
    RuntimeDirectory(path=paths.CONTAINERD_PROGRAMS),
    RuntimeDirectory(path=paths.NRI_RUN),
    RuntimeDirectory(path=paths.CNI_DATA),
    RuntimeDirectory(path=paths.FLANNEL_RUN),
    RuntimeDirectory(path=paths.POD_LOGS),
    RuntimeDirectory(path=paths.CONTAINER_LOGS),
    # made where a pod mounts what is not there
    RuntimeDirectory(path="/run/netns", depth=Depth.ITSELF),
    RuntimeDirectory(path="/lib/modules", depth=Depth.ITSELF),
)

RUNTIME_FILES: Final = (
    paths.KUBELET_CONF,  # by a worker's kubelet, once it has its certificate
    paths.BOOTSTRAP_KUBELET_CONF,  # ours, removed behind every worker
    paths.FLANNEL_CONFLIST,  # by flannel's pod
    paths.CONTAINERD_CONFLIST,  # by containerd, with the bridge CNI
)
"""Files that are overwritten or removed without a record of what they held before."""
