"""How the API is reached, what its certificate says, and the ports ingress takes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.inventory.model import LOAD_BALANCERS
from kubeforge.spec import paths
from kubeforge.spec.addresses import balancer_hosts, endpoint_kind
from kubeforge.spec.model import ClusterSpec, EndpointKind
from kubeforge.spec.rules.findings import caution, fault, is_address, is_dns_name

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["INVENTORY_RULES", "RULES"]

_FREE: Final = "a free address of the nodes' network"
_NEED_ADDRESS: Final = {
    EndpointKind.EXTERNAL: "the name or address of the balancer",
    EndpointKind.HAPROXY: _FREE,
    EndpointKind.KUBE_VIP: _FREE,
}
_SHORTEST: Final = timedelta(seconds=60)
_MOVES: Final = (EndpointKind.HAPROXY, EndpointKind.KUBE_VIP)
_ON_API_PORT: Final = (EndpointKind.FIRST, EndpointKind.LOCALHOST, EndpointKind.KUBE_VIP)
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
    """The endpoint has the address and the port that its kind needs."""
    kind, address = spec.endpoint.kind, spec.endpoint.address
    if kind is not None:
        yield from _kind_faults(spec, kind)
    if address is not None and not (is_address(address) or is_dns_name(address)):
        yield fault(f"`{address}` is neither a DNS name nor an address; no scheme, no port", "endpoint", "address")


def default_endpoint(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """So must the kind that follows from the number of control planes."""
    if spec.endpoint.kind is None and inventory.control_planes:
        yield from _kind_faults(spec, endpoint_kind(spec, inventory))


def _kind_faults(spec: ClusterSpec, kind: EndpointKind) -> Iterator[Problem]:
    address, port = spec.endpoint.address, spec.endpoint.port
    if kind in _NEED_ADDRESS and address is None:
        yield fault(f"{kind.value} needs endpoint.address: {_NEED_ADDRESS[kind]}", "endpoint")
    if kind in _MOVES and address is not None and not is_address(address):
        yield fault(f"`{address}` is a name; {kind.value} moves an address between hosts", "endpoint", "address")
    if address is not None and kind not in _NEED_ADDRESS:
        yield caution(f"not used: {kind.value} needs no address", "endpoint", "address")
    if kind in _ON_API_PORT and port not in (None, paths.API_PORT):
        yield fault(
            f"API servers listen on {paths.API_PORT}; another port is for a balancer in front (external, haproxy)",
            "endpoint", "port",
        )  # fmt: skip


def one_way_in(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Several control planes serve little where all go through the first."""
    if endpoint_kind(spec, inventory) is EndpointKind.FIRST and len(inventory.control_planes) > 1:
        yield caution(
            f"all go through {inventory.control_planes[0].name}; when it is down, nobody reaches the API", "endpoint"
        )


def shared_address(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """An address that moves between hosts belongs to none of them; a port beside an API server is not its port."""
    kind, address = endpoint_kind(spec, inventory), spec.endpoint.address
    if kind not in _MOVES or address is None:
        return
    where = ("endpoint", "address")
    balancers = balancer_hosts(spec, inventory) or inventory.control_planes
    addressed = {name: host for host in inventory.hosts.values() for name in (host.address, host.connection.address)}
    owner = addressed.get(address)
    if owner is not None and (len(balancers) > 1 or owner not in balancers):
        yield fault(f"{address} is {owner.name}'s own; {kind.value} needs {_FREE}", *where)
    elif kind is EndpointKind.HAPROXY and len(balancers) == 1 and len(inventory.control_planes) > 1:
        yield caution(f"all go through {balancers[0].name}; when it is down, nobody reaches the API", "endpoint")
    beside = any(host in inventory.control_planes for host in balancers)
    if kind is EndpointKind.HAPROXY and beside and spec.endpoint.port == paths.API_PORT:
        yield fault(
            f"port {paths.API_PORT} is the API servers' own on {balancers[0].name}; leave it out for "
            f"{paths.BALANCER_PORT}, or give balancers hosts of their own (group {LOAD_BALANCERS})",
            "endpoint", "port",
        )  # fmt: skip


def balancer_group(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Hosts of the balancers' group are balancers of the kind that has them, and nothing else on the same port."""
    if inventory.load_balancers and endpoint_kind(spec, inventory) is not EndpointKind.HAPROXY:
        names = ", ".join(host.name for host in inventory.load_balancers)
        yield caution(f"group {LOAD_BALANCERS} ({names}) is of no use but for endpoint.kind haproxy", "endpoint")


def certificate_names(spec: ClusterSpec) -> Iterator[Problem]:
    """Subject alternative names are DNS names (a leading `*.` may be) or addresses."""
    for index, name in enumerate(spec.pki.api_server_sans):
        if not (is_address(name) or is_dns_name(name.removeprefix("*."))):
            yield fault(f"`{name}` is neither a DNS name nor an address", "pki", "api_server_sans", index)


def validity(spec: ClusterSpec) -> Iterator[Problem]:
    """A certificate must not outlive its CA, nor end before anybody could use it."""
    if spec.pki.validity is not None:
        if spec.pki.lifetime > timedelta(days=spec.pki.ca_days):
            text = f"certificates of {spec.pki.validity} would outlive their CA of {spec.pki.ca_days} days"
            yield fault(text, "pki", "validity")
        elif spec.pki.lifetime < _SHORTEST:
            yield fault(f"less than {_SHORTEST.seconds} s: they would end while they are rolled out", "pki", "validity")
    elif spec.pki.days > spec.pki.ca_days:
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
INVENTORY_RULES: Final = (default_endpoint, one_way_in, shared_address, balancer_group, ingress_hosts)
