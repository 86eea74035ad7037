"""The plain bridge CNI: no pod, no image. For nodes on one layer-2 network.

Who writes a node's CNI configuration: containerd. The controller manager gives the node its pod CIDR, the kubelet tells
containerd (UpdateRuntimeConfig), and containerd fills the template below into 10-containerd-net.conflist. So a node
becomes ready without anybody asking the API for its CIDR. Routes to other nodes' pods need everyone's CIDR: kubeforge
reads them from the Node objects and writes one script and one unit on every host (ADR 0039).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kubeforge.addons.model import Cluster
from kubeforge.documents import Object
from kubeforge.manifests.render import render
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import CNI_TEMPLATE, POD_ROUTES, POD_ROUTES_UNIT

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = ["conflist", "host_files", "objects", "pod_routes"]

_PROTOCOL: Final = 147  # marks our routes; unused in iproute2's rt_protos
_FIELD: Final = "{{.PodCIDR}}"  # of containerd's template


def objects(_: Cluster) -> list[Object]:
    """Return nothing: it runs nothing on the cluster."""
    return []


def host_files(_: ClusterSpec) -> dict[str, str]:
    """Return containerd's template, named by `cni.conf_template` in its config.toml."""
    return {CNI_TEMPLATE: conflist(_FIELD)}


def conflist(pod_cidr: str) -> str:
    """Return the CNI configuration of a node.

    Args:
        pod_cidr: the node's part of the pod network.
    """
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"name": "kubeforge", "cniVersion": "1.0.0", "plugins": plugins}, indent=2) + "\n"


def pod_routes(spec: ClusterSpec, inventory: Inventory, host: Host, pod_cidrs: Mapping[str, str]) -> dict[str, str]:
    """Return path -> text of what gives one host its routes; the unit must be restarted when the script changes.

    Args:
        spec: the cluster.
        inventory: everybody.
        host: the host.
        pod_cidrs: node name -> `spec.podCIDR` of every Node that has one.
    """
    routes = [
        (pod_cidrs[name], other.address)
        for name, other in inventory.hosts.items()
        if name != host.name and name in pod_cidrs
    ]
    script = render("bridge/pod-routes.sh", routes=routes, pods=spec.network.pods, protocol=_PROTOCOL)
    return {POD_ROUTES: script, POD_ROUTES_UNIT: render("bridge/pod-routes.service", script=POD_ROUTES)}
