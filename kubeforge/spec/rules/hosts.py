"""Who is in the cluster: roles, names, addresses, etcd members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS
from kubeforge.spec.addresses import node_ip
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.rules.findings import about_host, caution, fault, is_dns_name
from kubeforge.spec.suggestions import nearest

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = ["INVENTORY_RULES"]

_ROLES: Final = (CONTROL_PLANE, WORKERS, ETCD, LOAD_BALANCERS)
# names other tools and older releases give the group
_OTHER_NAMES: Final = ("kube-master", "kube_master", "kube-control-plane", "masters", "master", "controllers",
                       "control_plane", "controlplane", "control-plane", "server", "servers")  # fmt: skip
_MAX_HOSTNAME: Final = 63
_MANY_MEMBERS: Final = 7


def control_plane(_: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """There must be a control plane."""
    file = str(inventory.source) if inventory.source else None
    if not inventory.hosts:
        yield Problem(message="the inventory names no host", file=file)
    elif not inventory.control_planes:
        other = [name for name in inventory.groups if name in _OTHER_NAMES] or list(
            filter(None, [nearest(CONTROL_PLANE, [name for name in inventory.groups if name not in _ROLES])])
        )
        hint = f"; rename group {other[0]}?" if other else ""
        yield Problem(message=f"no host is in group {CONTROL_PLANE}{hint}", file=file)


def outsiders(_: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Hosts without a role are left alone, which may not be what was meant."""
    inside = {host.name for host in inventory.cluster}
    for host in inventory.hosts.values() if inside else ():
        if host.name not in inside:
            groups = f"it is in {', '.join(sorted(host.groups))}" if host.groups else "it is in no group"
            yield about_host(host, f"no part of the cluster: {groups}, none of {', '.join(_ROLES)}", warning=True)


def names(_: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """A host's name becomes its node's name."""
    for host in inventory.cluster:
        if is_dns_name(host.name) and len(host.name) <= _MAX_HOSTNAME:
            continue
        better = host.name.lower().replace("_", "-").strip("-.")[:_MAX_HOSTNAME]
        hint = f"; {better}?" if is_dns_name(better) and better != host.name else ""
        yield about_host(
            host,
            "cannot be a node's name: lower-case letters, digits, `-` and `.` only, "
            f"at most {_MAX_HOSTNAME} (RFC 1123){hint}",
        )


def addresses(_: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Every host needs an address of its own that the others can reach."""
    alone = len(inventory.cluster) == 1
    for host in inventory.cluster:
        address = node_ip(host)
        if address is None:
            yield about_host(
                host, f"`{host.address}` is a name; add `ip:` with the address the other hosts reach it by"
            )
        elif address.version != 4:
            yield about_host(host, f"{address}: IPv6 is not built yet; add `ip:` with its IPv4 address")
        elif address.is_unspecified or address.is_multicast or (address.is_loopback and not alone):
            yield about_host(host, f"{address} cannot be reached by the other hosts; add `ip:` with one that can")


def doubles(_: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """No two hosts share an address, nor are reached at the same place."""
    cluster_address: dict[str, Host] = {}
    ssh_address: dict[tuple[str, int | None, str | None], Host] = {}
    for host in inventory.cluster:
        address = str(node_ip(host) or host.address)
        first = cluster_address.setdefault(address, host)
        if first is not host:
            yield about_host(host, f"has the address of {first.name}: {address}")
            continue
        reached = (host.connection.address, host.connection.port, host.connection.proxy_jump)
        first = ssh_address.setdefault(reached, host)
        if first is not host:
            yield about_host(host, f"is reached at the same place as {first.name}: {host.connection.address}")


def etcd_members(spec: ClusterSpec, inventory: Inventory) -> Iterator[Problem]:
    """Members must be where the topology says; an odd number is worth more than the even one above it."""
    listed = {host.name for host in inventory.group(ETCD)}
    control = {host.name for host in inventory.control_planes}
    where = ("etcd", "topology")
    if spec.etcd.topology == "external" and not listed:
        yield fault(f"external etcd needs its hosts in group {ETCD}, and there are none", *where)
    elif spec.etcd.topology == "external" and listed & control:
        both = ", ".join(sorted(listed & control))
        yield fault(
            f"external etcd runs on hosts of its own, and {both} is a control plane;"
            " for etcd on the control planes set stacked and drop the group",
            *where,
        )
    elif spec.etcd.topology == "stacked" and listed and listed != control:
        odd = ", ".join(sorted(listed ^ control))
        yield fault(
            f"stacked etcd runs on the control planes, and group {ETCD} differs ({odd});"
            " drop the group, or set external",
            *where,
        )
    count = len(inventory.etcd_members)
    if count and count % 2 == 0:
        yield caution(
            f"{count} etcd members stand the loss of {(count - 1) // 2}, no more than {count - 1} would;"
            " take an odd number",
            *where,
        )
    if count > _MANY_MEMBERS:
        yield caution(f"{count} etcd members: each write waits for more than half of them; 5 do", *where)


INVENTORY_RULES: Final = (control_plane, outsiders, names, addresses, doubles, etcd_members)
