"""What was seen of a cluster before an upgrade, as frozen values. Nothing is judged here. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kubeforge.cluster.budgets import Budget
from kubeforge.cluster.status.model import ClusterStatus

__all__ = ["EVICTS", "Arguments", "HostSeen", "KubernetesSeen", "NodeSeen", "Requested", "Room", "Seen", "Written"]

EVICTS: Final = 0.15
"""The kubelet's own imagefs.available (kubernetes.io/docs, Node-pressure Eviction)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One file system of a host.

    Args:
        mount: where it is mounted: what lies on the same one shares its room.
        free: bytes that are left.
        size: bytes in all.
    """

    mount: str
    free: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a component is started with.

    Args:
        flags: without dashes, `feature-gates` left out.
        gates: feature gates that are set.
    """

    flags: frozenset[str] = frozenset()
    gates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """One host.

    Args:
        name: inventory name.
        why: why it could not be asked; empty: it was.
        arch: Go's spelling.
        programs: name -> version of what is installed, without v; `cni` is the bridge plugin.
        pods: component -> version of the image in its static pod's manifest.
        arguments: component, as cluster.yml names it (`api_server`) -> what it is started with.
        stored: digests of kubeforge's store.
        images: references that containerd has.
        store: room for programs; None: not known.
        image_store: room for images.
        evicts: share of the images' file system below which the kubelet evicts pods.
    """

    name: str
    why: str = ""
    arch: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    pods: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Arguments] = field(default_factory=dict)
    stored: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    store: Room | None = None
    image_store: Room | None = None
    evicts: float = EVICTS


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """What the API says of a node.

    Args:
        kubelet: version that runs, without v.
        runtime: version of containerd that runs; empty: another runtime.
    """

    kubelet: str = ""
    runtime: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A deprecated API that somebody asked for since an API server started.

    Args:
        api_version: `networking.k8s.io/v1beta1`.
        resource: plural, with its subresource.
        removed: first minor that does not serve it, as the API server says.
        hosts: control planes whose API servers were asked.
    """

    api_version: str
    resource: str
    removed: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Objects that somebody last wrote by an API version that goes.

    Args:
        api_version: that one.
        resource: plural.
        removed: first minor that does not serve it.
        objects: `namespace/name` of the first few.
        count: of all.
        managers: who wrote them, as managedFields name them.
    """

    api_version: str
    resource: str
    removed: str
    objects: tuple[str, ...]
    count: int
    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSeen:
    """What the API says.

    Args:
        nodes: name -> what it runs.
        recorded: kubernetesVersion in kubeadm's ConfigMap, without v; empty: there is none.
        requested: deprecated APIs that were asked for.
        written: objects written by APIs that go.
        budgets: that allow no eviction.
        unasked: what could not be asked, and why.
    """

    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)
    recorded: str = ""
    requested: tuple[Requested, ...] = ()
    written: tuple[Written, ...] = ()
    budgets: tuple[Budget, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All of it.

    Args:
        status: as `kubeforge status` sees it.
        hosts: name -> what it says of itself.
        kubernetes: what the API says.
    """

    status: ClusterStatus
    hosts: Mapping[str, HostSeen]
    kubernetes: KubernetesSeen = KubernetesSeen()
