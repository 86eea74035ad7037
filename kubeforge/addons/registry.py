"""Every addon, in the order they are applied. A new one is a row here, a module beside it, and its golden."""

from __future__ import annotations

from typing import Final

from kubeforge.addons import bridge, coredns, flannel, kube_proxy, traefik
from kubeforge.addons.model import Addon, Cluster
from kubeforge.documents import Object
from kubeforge.spec.model import ClusterSpec, Cni

__all__ = ["ADDONS", "enabled", "host_files", "objects"]

ADDONS: Final[tuple[Addon, ...]] = (
    Addon(
        name="kube-proxy",
        enabled=lambda _: True,
        objects=kube_proxy.objects,
        workload=kube_proxy.WORKLOAD,
    ),
    Addon(
        name="flannel",
        enabled=lambda spec: spec.network.cni is Cni.FLANNEL,
        objects=flannel.objects,
        workload=flannel.WORKLOAD,
        host_files=flannel.host_files,
    ),
    Addon(
        name="bridge",
        enabled=lambda spec: spec.network.cni is Cni.BRIDGE,
        objects=bridge.objects,
        workload=None,
        host_files=bridge.host_files,
    ),
    Addon(
        name="coredns",
        enabled=lambda _: True,
        objects=coredns.objects,
        workload=coredns.WORKLOAD,
    ),
    Addon(
        name="traefik",
        enabled=lambda spec: spec.addons.ingress is not None and spec.addons.ingress.kind == "traefik",
        objects=traefik.objects,
        workload=traefik.WORKLOAD,
    ),
)


def enabled(spec: ClusterSpec) -> tuple[Addon, ...]:
    """Return the addons a spec wants."""
    return tuple(addon for addon in ADDONS if addon.enabled(spec))


def objects(cluster: Cluster) -> list[Object]:
    """Return the objects of all addons a cluster's spec wants, in the order to apply."""
    return [made for addon in enabled(cluster.spec) for made in addon.objects(cluster)]


def host_files(spec: ClusterSpec) -> dict[str, str]:
    """Return path -> text of files (mode 0644) every node needs before its kubelet starts."""
    return {path: text for addon in enabled(spec) for path, text in addon.host_files(spec).items()}
