"""Pod, Service and node networks: readable, apart from each other, and large enough."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.spec.addresses import node_ip
from kubeforge.spec.model import ClusterSpec, Cni
from kubeforge.spec.rules.findings import about_host, caution, fault, is_dns_name

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["INVENTORY_RULES", "RULES"]

_LARGEST_SERVICES: Final = 12  # kubeadm constants.MaximumBitsForServiceSubnet: at most 20 bits
_SMALLEST_SERVICES: Final = 28  # the tenth address is DNS, and a cluster has more Services than that
_MASK_REACH: Final = 16  # kubeadm constants.PodSubnetNodeMaskMaxDiff; the controller-manager's limit
_MAX_PODS: Final = 110  # KubeletConfiguration.maxPods
_RESERVED: Final = tuple(
    (IPv4Network(text), what)
    for text, what in (
        ("0.0.0.0/8", "`this network`"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local addresses"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved addresses"),
    )
)
_BRIDGE_PREFIX: Final = 24


def readable(spec: ClusterSpec) -> Iterator[Problem]:
    """Each network must be one IPv4 network in CIDR form."""
    for name, text in (("pods", spec.network.pods), ("services", spec.network.services)):
        message = _unreadable(text)
        if message:
            yield fault(message, "network", name)


def _unreadable(text: str) -> str | None:
    if "," in text:
        return "two networks (dual stack) are not built yet; name one IPv4 network"
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return f"`{text}` is not a network; write address/prefix length, such as 10.244.0.0/16"
    if "/" not in text:
        return f"`{text}` lacks its prefix length, such as {text}/16"
    if network.version != 4:
        return "IPv6 networks are not built yet; name an IPv4 network"
    if text != str(network):
        return f"`{text}` has bits set beyond its prefix; the network is {network}"
    return None


def _network(text: str) -> IPv4Network | None:
    """Return a network that `readable` finds nothing wrong with."""
    return None if _unreadable(text) else IPv4Network(text)


def apart(spec: ClusterSpec) -> Iterator[Problem]:
    """Pods, Services and reserved ranges must not overlap."""
    pods, services = _network(spec.network.pods), _network(spec.network.services)
    if pods and services and pods.overlaps(services):
        yield fault(f"pods {pods} and Services {services} overlap", "network", "pods")
    for name, network in (("pods", pods), ("services", services)):
        for reserved, what in _RESERVED:
            if network is not None and network.overlaps(reserved):
                yield fault(f"{network} overlaps {reserved}, which is {what}", "network", name)


def apart_from_hosts(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """No host's address may lie in the pods' or the Services' network."""
    for name, network in (("pods", _network(spec.network.pods)), ("services", _network(spec.network.services))):
        for host in inventory.cluster:
            address = node_ip(host)
            if network is not None and address is not None and address in network:
                yield about_host(host, f"its address {address} lies in network.{name} {network}")


def service_size(spec: ClusterSpec) -> Iterator[Problem]:
    """The Service network must hold DNS, and not be larger than the API server takes."""
    services = _network(spec.network.services)
    if services is None:
        return
    if services.prefixlen < _LARGEST_SERVICES:
        wanted = IPv4Network((services.network_address, _LARGEST_SERVICES))
        yield fault(f"{services} is too large: Kubernetes takes /{_LARGEST_SERVICES} at most; {wanted}",
                    "network", "services")  # fmt: skip
    if services.prefixlen > _SMALLEST_SERVICES:
        yield fault(
            f"{services} is too small: it has {services.num_addresses} addresses; take /{_SMALLEST_SERVICES} or larger",
            "network", "services",
        )  # fmt: skip


def node_parts(spec: ClusterSpec) -> Iterator[Problem]:
    """Every host gets a part of the pod network, of a size that serves."""
    pods, mask = _network(spec.network.pods), spec.network.node_mask
    if pods is None:
        return
    where = ("network", "node_mask")
    if mask < pods.prefixlen:
        yield fault(f"/{mask} for one node is larger than all of pods {pods}", *where)
        return
    if mask - pods.prefixlen > _MASK_REACH:
        smallest = pods.prefixlen + _MASK_REACH
        yield fault(f"/{mask} cuts {pods} into too many parts; Kubernetes takes /{smallest} at most", *where)
    addresses, wanted = 2 ** (32 - mask) - 2, spec.kubelet.config.get("maxPods", _MAX_PODS)
    if isinstance(wanted, int) and addresses < wanted:
        yield caution(
            f"/{mask} has {addresses} addresses for up to {wanted} pods of a node;"
            f" set kubelet.config.maxPods to {addresses} or take a larger part",
            *where,
        )


def room_for_nodes(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """There must be a part of the pod network for every node."""
    pods, mask = _network(spec.network.pods), spec.network.node_mask
    if pods is None or mask < pods.prefixlen:
        return
    nodes = {host.name for host in (*inventory.control_planes, *inventory.workers)}
    room = 2 ** (mask - pods.prefixlen)
    if room < len(nodes):
        yield fault(f"{pods} holds {room} parts of /{mask}, and there are {len(nodes)} nodes", "network", "pods")
    elif room == len(nodes):
        yield caution(f"{pods} holds {room} parts of /{mask}: no node can be added later", "network", "pods")


def bridge_reach(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """The plain bridge routes pod networks through the hosts' addresses, which needs one common link."""
    if spec.network.cni is not Cni.BRIDGE:
        return
    found = [address for host in inventory.cluster if (address := node_ip(host)) is not None]
    links = {ip_network(f"{address}/{_BRIDGE_PREFIX}", strict=False) for address in found}
    if len(links) > 1:
        seen = ", ".join(sorted(str(link) for link in links))
        yield caution(
            f"`bridge` works only where all hosts are on one link, and their addresses lie in {seen};"
            " take flannel if a router is between them",
            "network", "cni",
        )  # fmt: skip


def domain(spec: ClusterSpec) -> Iterator[Problem]:
    """The cluster's domain is a DNS name."""
    if not is_dns_name(spec.network.domain):
        yield fault(f"`{spec.network.domain}` is not a DNS name in lower case", "network", "domain")


RULES: Final = (readable, apart, service_size, node_parts, domain)
INVENTORY_RULES: Final = (apart_from_hosts, room_for_nodes, bridge_reach)
