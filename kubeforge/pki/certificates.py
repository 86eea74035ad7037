"""THE table: every certificate and key of a cluster, one frozen row each, and what goes into it. Issues nothing.

Source: kubeadm, cmd/kubeadm/app/phases/certs/certlist.go and util/pkiutil (GetAPIServerAltNames, getAltNames), read at
v1.35.4 and v1.36.3. `kubeadm certs renew` copies names, usages and SANs from the certificate it finds, so what is
written first stays for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import CONTROL_PLANE, ETCD
from kubeforge.spec.addresses import api_host, endpoint_kind, node_ip, service_ip
from kubeforge.spec.model import ClusterSpec, EndpointKind
from kubeforge.spec.paths import LOOPBACK, PKI
from kubeforge.spec.releases import release

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = [
    "KEY_MODE",
    "PUBLIC_MODE",
    "TABLE",
    "Identity",
    "Kind",
    "Request",
    "Row",
    "Sans",
    "Scope",
    "Usage",
    "api_server_sans",
    "has_key",
    "request",
    "row",
    "rows_for",
]

KEY_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644


class Kind(StrEnum):
    """What a row makes."""

    AUTHORITY = "authority"
    LEAF = "leaf"
    KEY_PAIR = "key pair"


class Scope(StrEnum):
    """Who shares it: one for all hosts that hold it, or each host its own."""

    SHARED = "shared"
    NODE = "node"


class Usage(StrEnum):
    """Extended key usage."""

    SERVER = "server"
    CLIENT = "client"


class Sans(StrEnum):
    """Rule that makes the subject alternative names."""

    NONE = "none"
    OWN_NAME = "own name"  # kubeadm's authorities carry their CN as a DNS name
    API_SERVER = "API server"
    ETCD = "etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One certificate or key.

    Args:
        name: kubeadm's, as in `kubeadm init phase certs NAME` and `kubeadm certs renew NAME`.
        stem: path below /etc/kubernetes/pki without suffix.
        kind: what it is.
        scope: shared by all its holders, or made for each.
        holders: groups of hosts that have it.
        key_holders: groups of hosts that have its private key, where not all of its holders do.
        read_by_etcd: etcd reads the private key; where it is a service, the key belongs to its user.
        signer: name of the authority's row; None: itself.
        common_name: CN; `{node}` is the node's name.
        organization: O; `{kubelet_client}` is what the release says, and no O where that is empty.
        usages: extended key usages.
        sans: rule of the subject alternative names.
    """

    name: str
    stem: str
    kind: Kind = Kind.LEAF
    scope: Scope = Scope.NODE
    holders: frozenset[str] = frozenset({CONTROL_PLANE})
    key_holders: frozenset[str] | None = None
    read_by_etcd: bool = False
    signer: str | None = None
    common_name: str = ""
    organization: str = ""
    usages: tuple[Usage, ...] = ()
    sans: Sans = Sans.NONE

    @property
    def certificate(self) -> str:
        """Path of the certificate (`sa.pub`, the public key, for the key pair)."""
        return f"{PKI}/{self.stem}.{'pub' if self.kind is Kind.KEY_PAIR else 'crt'}"

    @property
    def key(self) -> str:
        """Path of the private key."""
        return f"{PKI}/{self.stem}.key"


_BOTH: Final = frozenset({CONTROL_PLANE, ETCD})
_ON_ETCD: Final = frozenset({ETCD})
_CLIENT: Final = (Usage.CLIENT,)
_SERVER: Final = (Usage.SERVER,)
# etcd asks clientAuth of its server certificate too: https://github.com/etcd-io/etcd/issues/9785
_ETCD_SERVER: Final = (Usage.SERVER, Usage.CLIENT)

TABLE: Final[tuple[Row, ...]] = (
    Row(name="ca", stem="ca", kind=Kind.AUTHORITY, scope=Scope.SHARED, common_name="kubernetes", sans=Sans.OWN_NAME),
    Row(
        name="apiserver",
        stem="apiserver",
        signer="ca",
        common_name="kube-apiserver",
        usages=_SERVER,
        sans=Sans.API_SERVER,
    ),
    Row(
        name="apiserver-kubelet-client",
        stem="apiserver-kubelet-client",
        signer="ca",
        common_name="kube-apiserver-kubelet-client",
        organization="{kubelet_client}",
        usages=_CLIENT,
    ),
    Row(
        name="front-proxy-ca",
        stem="front-proxy-ca",
        kind=Kind.AUTHORITY,
        scope=Scope.SHARED,
        common_name="front-proxy-ca",
        sans=Sans.OWN_NAME,
    ),
    Row(
        name="front-proxy-client",
        stem="front-proxy-client",
        signer="front-proxy-ca",
        common_name="front-proxy-client",
        usages=_CLIENT,
    ),
    Row(
        name="etcd-ca",
        stem="etcd/ca",
        kind=Kind.AUTHORITY,
        scope=Scope.SHARED,
        holders=_BOTH,
        key_holders=_ON_ETCD,  # a control plane without a member is etcd's client, and need not be able to make others
        common_name="etcd-ca",
        sans=Sans.OWN_NAME,
    ),
    Row(
        name="etcd-server",
        stem="etcd/server",
        holders=_ON_ETCD,
        read_by_etcd=True,
        signer="etcd-ca",
        common_name="{node}",
        usages=_ETCD_SERVER,
        sans=Sans.ETCD,
    ),
    Row(
        name="etcd-peer",
        stem="etcd/peer",
        holders=_ON_ETCD,
        read_by_etcd=True,
        signer="etcd-ca",
        common_name="{node}",
        usages=_ETCD_SERVER,
        sans=Sans.ETCD,
    ),
    Row(
        name="etcd-healthcheck-client",
        stem="etcd/healthcheck-client",
        holders=_ON_ETCD,
        signer="etcd-ca",
        common_name="kube-etcd-healthcheck-client",
        usages=_CLIENT,
    ),
    Row(
        name="apiserver-etcd-client",
        stem="apiserver-etcd-client",
        signer="etcd-ca",
        common_name="kube-apiserver-etcd-client",
        usages=_CLIENT,
    ),
    Row(name="sa", stem="sa", kind=Kind.KEY_PAIR, scope=Scope.SHARED),
)


def row(name: str) -> Row:
    """Return the row of a name.

    Raises:
        LookupError: there is none.
    """
    for candidate in TABLE:
        if candidate.name == name:
            return candidate
    raise LookupError(f"no certificate is called {name}")


def rows_for(inventory: Inventory, host: Host) -> tuple[Row, ...]:
    """Return what a host holds, authorities before what they sign; nothing for a worker."""
    roles = _roles(inventory, host)
    return tuple(candidate for candidate in TABLE if candidate.holders & roles)


def has_key(inventory: Inventory, host: Host, candidate: Row) -> bool:
    """Return whether a host holds the private key of a row."""
    holders = candidate.holders if candidate.key_holders is None else candidate.key_holders
    return bool(holders & _roles(inventory, host))


def _roles(inventory: Inventory, host: Host) -> set[str]:
    members = {CONTROL_PLANE: inventory.control_planes, ETCD: inventory.etcd_members}
    return {role for role, hosts in members.items() if any(other.name == host.name for other in hosts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a certificate shall say.

    Args:
        common_name: CN.
        organizations: O, in order.
        usages: extended key usages.
        names: DNS names, sorted.
        addresses: IP addresses in canonical text.
        authority: whether it may sign.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    usages: tuple[Usage, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    authority: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the certificates of one host depend on.

    Args:
        node: name of the node.
        address: its advertise address.
        api_server: names and addresses the API server's certificate has beside the fixed ones, in order.
        domain: cluster domain.
        kubelet_client: O of apiserver-kubelet-client; empty: none.
    """

    node: str
    address: str
    api_server: tuple[str, ...] = ()
    domain: str = "cluster.local"
    kubelet_client: str = ""

    @classmethod
    def of(cls, spec: ClusterSpec, inventory: Inventory, host: Host) -> Identity:
        """Return the identity of a host.

        Raises:
            KubeforgeError: its address is a name, and an address must stand in its certificates.
        """
        address = node_ip(host)
        if address is None:
            raise KubeforgeError(
                f"its address {host.address!r} is a name, but certificates and etcd need an address",
                host=host.name,
                step="pki",
                remedy=f"set `ip` of {host.name} in the inventory",
            )
        return cls(
            node=host.name,
            address=str(address),
            api_server=(
                service_ip(spec, 1),
                str(address),
                api_host(spec, inventory),
                *api_server_sans(spec, inventory),
            ),
            domain=spec.network.domain,
            kubelet_client=release(spec.kubernetes).kubelet_client_organization(spec.kubernetes) or "",
        )


def api_server_sans(spec: ClusterSpec, inventory: Inventory) -> tuple[str, ...]:
    """Return `apiServer.certSANs`: what the spec asks for, and loopback where every node has its own balancer."""
    local = endpoint_kind(spec, inventory) is EndpointKind.LOCALHOST
    return tuple(dict.fromkeys((*spec.pki.api_server_sans, *(("localhost", LOOPBACK) if local else ()))))


def request(candidate: Row, identity: Identity) -> Request:
    """Return what the certificate of a row says on one host."""
    common_name = candidate.common_name.format(node=identity.node)
    organization = candidate.organization.format(kubelet_client=identity.kubelet_client)
    names, addresses = _split(_SANS[candidate.sans](candidate, identity))
    return Request(
        common_name=common_name,
        organizations=(organization,) if organization else (),
        usages=candidate.usages,
        names=names,
        addresses=addresses,
        authority=candidate.kind is Kind.AUTHORITY,
    )


def _api_server(_: Row, identity: Identity) -> tuple[str, ...]:
    fixed = (identity.node, "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return (*fixed, f"kubernetes.default.svc.{identity.domain}", *identity.api_server)


def _etcd(_: Row, identity: Identity) -> tuple[str, ...]:
    return (identity.node, "localhost", identity.address, "127.0.0.1", "::1")


_SANS: Final = {
    Sans.NONE: lambda _, __: (),
    Sans.OWN_NAME: lambda candidate, _: (candidate.common_name,),
    Sans.API_SERVER: _api_server,
    Sans.ETCD: _etcd,
}


def _split(sans: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part names from addresses: names sorted, addresses in order, none twice (pkiutil.RemoveDuplicateAltNames)."""
    names: set[str] = set()
    addresses: dict[str, None] = {}
    for san in sans:
        try:
            addresses[str(ip_address(san))] = None
        except ValueError:
            names.add(san)
    return tuple(sorted(names)), tuple(addresses)
