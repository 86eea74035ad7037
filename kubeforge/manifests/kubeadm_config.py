"""The ClusterConfiguration that kubeadm finds in the ConfigMap kubeadm-config, and trusts when it upgrades or joins.

Whatever a manifest says beyond kubeadm's defaults is in `extraArgs` here too, or the next `kubeadm upgrade` drops it.
The kubelet's and kube-proxy's configurations have ConfigMaps of their own.

Source: kubeadm apis/kubeadm/v1beta4/types.go and what `kubeadm config migrate` of v1.36.3 writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object
from kubeforge.manifests.arguments import Argument
from kubeforge.manifests.config_files import api_server_mounts, scheduler_mounts
from kubeforge.manifests.control_plane import api_server_extra, controller_manager_extra, scheduler_extra
from kubeforge.manifests.etcd import client_url, member_extra
from kubeforge.manifests.static_pod import Mount
from kubeforge.pki.certificates import api_server_sans
from kubeforge.spec.addresses import api_endpoint
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import ETCD_DATA, PKI
from kubeforge.spec.releases import release

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["cluster_configuration"]

_UPSTREAM: Final = "registry.k8s.io"


def cluster_configuration(spec: ClusterSpec, inventory: Inventory, images: Mapping[str, str]) -> Object:
    """Return the cluster's ClusterConfiguration.

    Args:
        spec: the cluster.
        inventory: everybody.
        images: component -> reference; what differs from kubeadm's own choice is said.
    """
    row = release(spec.kubernetes)
    repository = _parts(images["kube-apiserver"])[0]
    return {
        "apiVersion": row.kubeadm_api,
        "kind": "ClusterConfiguration",
        "apiServer": _api_server(spec, inventory),
        "caCertificateValidityPeriod": f"{24 * spec.pki.ca_days}h0m0s",
        "certificateValidityPeriod": _hours(spec.pki.lifetime),
        "certificatesDir": PKI,
        "clusterName": spec.name,
        "controlPlaneEndpoint": api_endpoint(spec, inventory),
        "controllerManager": _extra(controller_manager_extra(spec)),
        "dns": _image(images["coredns"], repository=f"{_UPSTREAM}/coredns", tag=f"v{row.coredns}"),
        "encryptionAlgorithm": spec.pki.algorithm.value,
        "etcd": _etcd(spec, inventory, images["etcd"], repository=repository, tag=row.kubeadm_etcd_tag),
        "imageRepository": repository,
        "kubernetesVersion": f"v{spec.kubernetes}",
        "networking": {
            "dnsDomain": spec.network.domain,
            "podSubnet": spec.network.pods,
            "serviceSubnet": spec.network.services,
        },
        "proxy": {},
        "scheduler": {**_extra(scheduler_extra(spec)), **_volumes(scheduler_mounts(spec))},
    }


def _api_server(spec: ClusterSpec, inventory: Inventory) -> Object:
    sans = list(api_server_sans(spec, inventory))
    said = {**_extra(api_server_extra(spec, inventory)), **_volumes(api_server_mounts(spec))}
    return {**said, **({"certSANs": sans} if sans else {})}


def _etcd(spec: ClusterSpec, inventory: Inventory, image: str, *, repository: str, tag: str) -> Object:
    if spec.etcd.topology == "external":
        return {
            "external": {
                "caFile": f"{PKI}/etcd/ca.crt",
                "certFile": f"{PKI}/apiserver-etcd-client.crt",
                "endpoints": [client_url(member) for member in inventory.etcd_members],
                "keyFile": f"{PKI}/apiserver-etcd-client.key",
            }
        }
    local = {"dataDir": ETCD_DATA, **_image(image, repository=repository, tag=tag), **_extra(member_extra(spec))}
    return {"local": local}


def _extra(arguments: Iterable[Argument]) -> Object:
    listed = [{"name": name, "value": value} for name, value in arguments]
    return {"extraArgs": listed} if listed else {}


def _volumes(mounts: Iterable[Mount]) -> Object:
    listed = [
        {
            "name": mount.name,
            "hostPath": mount.path,
            "mountPath": mount.path,
            "pathType": mount.host_path_type,
            **({"readOnly": True} if mount.read_only else {}),
        }
        for mount in mounts
    ]
    return {"extraVolumes": listed} if listed else {}


def _image(reference: str, *, repository: str, tag: str) -> Object:
    """Return imageRepository and imageTag where kubeadm would choose others."""
    used = _parts(reference)
    said = {"imageRepository": used[0], "imageTag": used[1]}
    meant = {"imageRepository": repository, "imageTag": tag}
    return {key: value for key, value in said.items() if value != meant[key]}


def _parts(reference: str) -> tuple[str, str]:
    """Return repository (without the image's own name) and tag of a reference."""
    path, _, tag = reference.partition("@")[0].rpartition(":")
    return path.rpartition("/")[0], tag


def _hours(span: timedelta) -> str:
    """Return a span as Go writes it: `8760h0m0s`."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes // 60}h{minutes % 60}m{seconds}s"
