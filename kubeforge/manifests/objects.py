"""What a founded cluster holds in its API besides addons and nodes: kubeadm's ConfigMaps and RBAC. Applies nothing.

The ConfigMaps kubelet-config and kube-proxy carry no `component-config.hash`: kubeadm then takes them for the user's
and keeps them on upgrade, which is right, for they hold what the spec says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object, dump
from kubeforge.manifests.kubeadm_config import cluster_configuration
from kubeforge.manifests.kubelet import cluster_configuration as kubelet_configuration
from kubeforge.manifests.rbac import cluster_rbac
from kubeforge.pki.kubeconfigs import cluster_info
from kubeforge.spec.addresses import api_endpoint
from kubeforge.spec.model import ClusterSpec

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["cluster_objects", "config_map"]

_SYSTEM: Final = "kube-system"


def cluster_objects(spec: ClusterSpec, inventory: Inventory, images: Mapping[str, str], *, ca: bytes) -> list[Object]:
    """Return all that kubeadm uploads at init but tokens (see `pki.tokens`) and addons, in the order to apply.

    Args:
        spec: the cluster.
        inventory: everybody.
        images: component -> reference.
        ca: PEM of the cluster's authority, public in kube-public/cluster-info.
    """
    kubeadm = dump(cluster_configuration(spec, inventory, images))
    discovery = cluster_info(server=api_endpoint(spec, inventory), ca=ca)
    return [
        *cluster_rbac(),
        config_map("kubeadm-config", {"ClusterConfiguration": kubeadm}),
        config_map("kubelet-config", {"kubelet": dump(kubelet_configuration(spec))}),
        config_map("cluster-info", {"kubeconfig": discovery}, namespace="kube-public"),
    ]


def config_map(
    name: str, data: Mapping[str, str], *, namespace: str = _SYSTEM, labels: Mapping[str, str] | None = None
) -> Object:
    """Return a ConfigMap."""
    metadata: Object = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
