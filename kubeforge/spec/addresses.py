"""Addresses that follow from the spec and the inventory: Service IPs, cluster DNS, where the API is reached. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from kubeforge.spec.model import ClusterSpec, EndpointKind
from kubeforge.spec.paths import API_PORT, BALANCER_PORT, LOOPBACK

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = [
    "api_endpoint",
    "api_host",
    "balancer_hosts",
    "dns_ip",
    "endpoint_kind",
    "endpoint_port",
    "has_own_address",
    "host_port",
    "inner_endpoint",
    "inner_host",
    "local_api",
    "node_ip",
    "service_ip",
]

_DNS_INDEX: Final = 10  # kubeadm constants.GetDNSIP: the tenth address of the Service network


def service_ip(spec: ClusterSpec, n: int) -> str:
    """Return the n-th address of the Service network; the 1st is the API's, the 10th is DNS.

    Raises:
        IndexError: the network has no such address.
    """
    return str(ip_network(spec.network.services, strict=False)[n])


def dns_ip(spec: ClusterSpec) -> str:
    """Return the address of the kube-dns Service."""
    return service_ip(spec, _DNS_INDEX)


def endpoint_kind(spec: ClusterSpec, inventory: Inventory) -> EndpointKind:
    """Return how the API is reached; the loader fills it in, so this default is for specs made in Python.

    One control plane: clients ask it. More: every node asks through its own local balancer.
    """
    if spec.endpoint.kind is not None:
        return spec.endpoint.kind
    return EndpointKind.FIRST if len(inventory.control_planes) == 1 else EndpointKind.LOCALHOST


def has_own_address(spec: ClusterSpec, inventory: Inventory) -> bool:
    """Return whether the endpoint has an address that is no API server's: programs on control planes ask there, too."""
    return endpoint_kind(spec, inventory) not in (EndpointKind.FIRST, EndpointKind.LOCALHOST)


def balancer_hosts(spec: ClusterSpec, inventory: Inventory) -> tuple[Host, ...]:
    """Return the hosts that run a balancer of ours: every worker, or those the virtual address moves between."""
    kind = endpoint_kind(spec, inventory)
    if kind is EndpointKind.LOCALHOST:
        return inventory.workers
    return inventory.load_balancers or inventory.control_planes if kind is EndpointKind.HAPROXY else ()


def endpoint_port(spec: ClusterSpec, inventory: Inventory) -> int:
    """Return the endpoint's port. API servers take 6443 on every address, so a balancer beside one takes another."""
    if spec.endpoint.port is not None:
        return spec.endpoint.port
    haproxy = endpoint_kind(spec, inventory) is EndpointKind.HAPROXY
    beside = any(host in inventory.control_planes for host in balancer_hosts(spec, inventory))
    return BALANCER_PORT if haproxy and beside else API_PORT


def api_host(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return name or address under which clients outside the cluster, and hosts that join it, reach the API.

    For `localhost` that is the first control plane: only nodes have a local balancer.

    Raises:
        LookupError: the inventory has no control plane, or the endpoint needs an address and has none.
    """
    if has_own_address(spec, inventory):
        if spec.endpoint.address is None:
            kind = endpoint_kind(spec, inventory)
            raise LookupError(f"endpoint.kind {kind.value} needs endpoint.address")
        return spec.endpoint.address
    if not inventory.control_planes:
        raise LookupError("the inventory has no host in kube_control_plane")
    return inventory.control_planes[0].address


def api_endpoint(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return `host:port` under which clients outside the cluster, and hosts that join it, reach the API.

    It is kubeadm's controlPlaneEndpoint, also for `localhost`: `kubeadm join --control-plane` asks there before the
    host has an API server of its own (ADR 50).

    Raises:
        LookupError: see `api_host`.
    """
    return host_port(api_host(spec, inventory), endpoint_port(spec, inventory))


def inner_host(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return name or address under which programs on the nodes reach the API.

    For `localhost` that is loopback: on workers the balancer listens there, on control planes their own API server.

    Raises:
        LookupError: see `api_host`.
    """
    local = endpoint_kind(spec, inventory) is EndpointKind.LOCALHOST
    return LOOPBACK if local else api_host(spec, inventory)


def inner_endpoint(spec: ClusterSpec, inventory: Inventory) -> str:
    """Return `host:port` under which programs on the nodes reach the API.

    Raises:
        LookupError: see `api_host`.
    """
    return host_port(inner_host(spec, inventory), endpoint_port(spec, inventory))


def local_api(host: Host) -> str:
    """Return `host:port` of the API server on one control plane."""
    return host_port(host.address, API_PORT)


def node_ip(host: Host) -> IPv4Address | IPv6Address | None:
    """Return the host's address among the cluster's hosts; None where it is a name."""
    try:
        return ip_address(host.address)
    except ValueError:
        return None


def host_port(host: str, port: int) -> str:
    """Join host and port; IPv6 gets its brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
