"""Balancers of the API: haproxy's and keepalived's configuration and units, and kube-vip's static pod.

haproxy hands TCP through, so clients see the API servers' own certificates. Its checks ask `/readyz` over TLS without
verifying: they decide who is asked, and whoever is asked must show the client a certificate of the cluster.

Source: haproxy 2.6 configuration manual (server options, 5.2), keepalived.conf(5) 2.2, and the static pod that
`kube-vip manifest pod --controlplane --arp --leaderElection` of KUBE_VIP_VERSION describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object
from kubeforge.manifests.render import render
from kubeforge.manifests.static_pod import identified
from kubeforge.spec.addresses import balancer_hosts, endpoint_kind, endpoint_port, local_api
from kubeforge.spec.model import ClusterSpec, EndpointKind
from kubeforge.spec.paths import ADMIN_CONF, HAPROXY, HAPROXY_CONFIG, KEEPALIVED, KEEPALIVED_CONFIG, LOOPBACK

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = [
    "KUBE_VIP",
    "KUBE_VIP_VERSION",
    "haproxy_config",
    "haproxy_unit",
    "keepalived_config",
    "keepalived_unit",
    "kube_vip",
    "shares_address",
]

KUBE_VIP: Final = "kube-vip"
KUBE_VIP_VERSION: Final = "1.1.2"
_KUBE_VIP_IMAGE: Final = f"ghcr.io/kube-vip/kube-vip:v{KUBE_VIP_VERSION}"
_KEEPALIVED_RUN: Final = "kubeforge-keepalived"
_FIRST_PRIORITY: Final = 100
_PRIVILEGED_PORTS: Final = 1024


def haproxy_config(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return haproxy.cfg; the same on every host that has one."""
    local = endpoint_kind(spec, inventory) is EndpointKind.LOCALHOST
    return render(
        "balancer/haproxy.cfg",
        bind=LOOPBACK if local else "",
        port=endpoint_port(spec, inventory),
        servers=[(host.name, local_api(host)) for host in inventory.control_planes],
    )


def haproxy_unit(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return kubeforge-haproxy.service; root is nowhere needed, but for a port below 1024."""
    needs = "CAP_NET_BIND_SERVICE" if endpoint_port(spec, inventory) < _PRIVILEGED_PORTS else ""
    return render("balancer/haproxy.service", program=HAPROXY, config=HAPROXY_CONFIG, capabilities=needs)


def shares_address(spec: ClusterSpec, inventory: Inventory) -> bool:
    """Tell whether the endpoint's address moves between balancers, and is not simply that of the only one."""
    haproxy = endpoint_kind(spec, inventory) is EndpointKind.HAPROXY
    return haproxy and spec.endpoint.address not in {host.address for host in balancer_hosts(spec, inventory)}


def keepalived_config(spec: ClusterSpec, inventory: Inventory, host: Host, *, interface: str) -> str:
    """Return keepalived.conf of one balancer; unicast, so that no switch has to pass multicast on.

    Args:
        spec: the cluster, with an endpoint that `shares_address`.
        inventory: everybody.
        host: the balancer.
        interface: where the host has its own address.
    """
    balancers = balancer_hosts(spec, inventory)
    return render(
        "balancer/keepalived.conf",
        name=host.name,
        interface=interface,
        router_id=spec.endpoint.router_id,
        priority=_FIRST_PRIORITY - balancers.index(host),
        address=host.address,
        peers=[other.address for other in balancers if other != host],
        virtual=spec.endpoint.address,
        length=32,
        loopback=LOOPBACK,
        port=endpoint_port(spec, inventory),
    )


def keepalived_unit() -> str:
    """Return kubeforge-keepalived.service."""
    return render(
        "balancer/keepalived.service",
        program=KEEPALIVED,
        config=KEEPALIVED_CONFIG,
        folder=_KEEPALIVED_RUN,
        run=f"/run/{_KEEPALIVED_RUN}",
    )


def kube_vip(spec: ClusterSpec, inventory: Inventory, *, interface: str) -> Object:
    """Return kube-vip's static pod on a control plane: the address by ARP, its holder by a lease.

    It asks the API server beside it, by the name `kubernetes`, as the address is what it is there to bring.
    """
    env = {
        "vip_arp": "true",
        "port": str(endpoint_port(spec, inventory)),
        "vip_interface": interface,
        "vip_subnet": "32",
        "cp_enable": "true",
        "cp_namespace": "kube-system",
        "vip_leaderelection": "true",
        "vip_leasename": "plndr-cp-lock",
        "vip_leaseduration": "5",
        "vip_renewdeadline": "3",
        "vip_retryperiod": "1",
        "address": spec.endpoint.address,
    }
    node = {"name": "vip_nodename", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    container: Object = {
        "name": KUBE_VIP,
        "image": _KUBE_VIP_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["manager"],
        "env": [*({"name": name, "value": value} for name, value in env.items()), node],
        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}},
        "volumeMounts": [{"name": "kubeconfig", "mountPath": ADMIN_CONF}],
    }
    return identified(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": KUBE_VIP, "namespace": "kube-system"},
            "spec": {
                "containers": [container],
                "hostAliases": [{"hostnames": ["kubernetes"], "ip": LOOPBACK}],
                "hostNetwork": True,
                "priorityClassName": "system-node-critical",
                "volumes": [{"name": "kubeconfig", "hostPath": {"path": ADMIN_CONF, "type": "File"}}],
            },
        }
    )
