"""How the API is reached, what its certificate says, and the ports ingress takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.spec import paths
from kubeforge.spec.addresses import endpoint_kind
from kubeforge.spec.model import ClusterSpec, EndpointKind
from kubeforge.spec.rules.findings import caution, fault, is_address, is_dns_name

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["BUILT_ENDPOINTS", "INVENTORY_RULES", "RULES"]

# kinds this version can set up; the others are read, and refused in plain words
BUILT_ENDPOINTS: Final = (EndpointKind.FIRST, EndpointKind.EXTERNAL)
_NEED_ADDRESS: Final = (EndpointKind.EXTERNAL, EndpointKind.HAPROXY, EndpointKind.KUBE_VIP)
_TAKEN_PORTS: Final = {
    paths.API_PORT: "kube-apiserver",
    paths.ETCD_CLIENT_PORT: "etcd",
    paths.ETCD_PEER_PORT: "etcd",
    paths.ETCD_METRICS_PORT: "etcd",
    paths.KUBELET_PORT: "the kubelet",
    paths.KUBELET_HEALTH_PORT: "the kubelet",
    paths.KUBE_PROXY_HEALTH_PORT: "kube-proxy",
    paths.CONTROLLER_MANAGER_PORT: "kube-controller-manager",
    paths.SCHEDULER_PORT: "kube-scheduler",
    22: "sshd",
}


def endpoint(spec: ClusterSpec) -> Iterator[Problem]:
    """The endpoint must be of a kind that is built, with the address that kind needs."""
    kind, address = spec.endpoint.kind, spec.endpoint.address
    if kind is not None:
        yield from _kind_faults(spec, kind)
    if address is not None and not (is_address(address) or is_dns_name(address)):
        yield fault(f"`{address}` is neither a DNS name nor an address; no scheme, no port", "endpoint", "address")


def default_endpoint(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """So must the kind that follows from the number of control planes."""
    if spec.endpoint.kind is None and inventory.control_planes:
        because = f" (the default for {len(inventory.control_planes)} control planes)"
        yield from _kind_faults(spec, endpoint_kind(spec, inventory), because)


def _kind_faults(spec: ClusterSpec, kind: EndpointKind, because: str = "") -> Iterator[Problem]:
    if kind not in BUILT_ENDPOINTS:
        built = ", ".join(kind.value for kind in BUILT_ENDPOINTS)
        yield fault(f"{kind.value}{because} is not built yet; choose {built}", "endpoint", "kind")
    if kind in _NEED_ADDRESS and spec.endpoint.address is None:
        yield fault(f"{kind.value} needs endpoint.address: the name or address of the balancer", "endpoint")
    if kind in (EndpointKind.FIRST, EndpointKind.LOCALHOST) and spec.endpoint.port != paths.API_PORT:
        yield fault(
            f"API servers listen on {paths.API_PORT}; another port is for a balancer in front (kind: external)",
            "endpoint", "port",
        )  # fmt: skip


def one_way_in(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Several control planes serve little where all go through the first."""
    if endpoint_kind(spec, inventory) is EndpointKind.FIRST and len(inventory.control_planes) > 1:
        yield caution(
            f"all go through {inventory.control_planes[0].name}; when it is down, nobody reaches the API", "endpoint"
        )


def certificate_names(spec: ClusterSpec) -> Iterator[Problem]:
    """Subject alternative names are DNS names (a leading `*.` may be) or addresses."""
    for index, name in enumerate(spec.pki.api_server_sans):
        if not (is_address(name) or is_dns_name(name.removeprefix("*."))):
            yield fault(f"`{name}` is neither a DNS name nor an address", "pki", "api_server_sans", index)


def validity(spec: ClusterSpec) -> Iterator[Problem]:
    """A certificate must not outlive its CA."""
    if spec.pki.days > spec.pki.ca_days:
        yield fault(
            f"certificates of {spec.pki.days} days would outlive their CA of {spec.pki.ca_days} days", "pki", "days"
        )


def ingress_ports(spec: ClusterSpec) -> Iterator[Problem]:
    """Ingress listens on host ports that nothing else has."""
    ingress = spec.addons.ingress
    if ingress is None:
        return
    where = ("addons", "ingress")
    if ingress.http_port == ingress.https_port:
        yield fault(f"http and https cannot both have port {ingress.http_port}", *where, "https_port")
    low, high = paths.NODE_PORTS
    for name in ("http_port", "https_port"):
        port = getattr(ingress, name)
        if port in _TAKEN_PORTS:
            yield fault(f"port {port} is taken by {_TAKEN_PORTS[port]}", *where, name)
        elif low <= port <= high:
            yield fault(f"port {port} is one of the NodePorts ({low}-{high})", *where, name)


def ingress_hosts(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Ingress runs where pods run."""
    if spec.addons.ingress is not None and not inventory.workers and len(inventory.control_planes) > 1:
        yield caution("there is no worker; ingress listens on the control planes", "addons", "ingress")


RULES: Final = (endpoint, certificate_names, validity, ingress_ports)
INVENTORY_RULES: Final = (default_endpoint, one_way_in, ingress_hosts)
