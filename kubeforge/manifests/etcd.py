"""How etcd runs: its command line, and the static pod with it. Equal to kubeadm's but for the state.

Once there is data etcd ignores every `initial-*` flag, until the data is lost: then `new` (which is also etcd's
default) boots an empty cluster of its own, beside the real one (kubespray#13261), and `existing` with all members in
`initial-cluster` lets it in again under its old id, where it panics (ADR 0060). So a settled member says `existing`,
and names itself alone: without its data it refuses to start, and somebody looks. kubeadm-config carries the state too,
and `kubeadm upgrade` names the member alone as well.

Source: kubeadm phases/etcd/local.go at v1.36.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object
from kubeforge.manifests.arguments import Argument, command, extra_arguments
from kubeforge.manifests.static_pod import Mount, Probe, static_pod
from kubeforge.spec.addresses import host_port
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import ETCD_CLIENT_PORT, ETCD_DATA, ETCD_METRICS_PORT, ETCD_PEER_PORT, ETCD_PKI, UNUSED_PORT

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = [
    "ETCD",
    "arguments",
    "client_url",
    "founding",
    "member_extra",
    "parked_url",
    "peer_url",
    "restore_flags",
    "settled",
]

ETCD: Final = "etcd"
_ADVERTISE: Final = "kubeadm.kubernetes.io/etcd.advertise-client-urls"
_GATES: Final = {"InitialCorruptCheck": True}
_STATE: Final = "initial-cluster-state"
_EXISTING: Final = "existing"


def client_url(host: Host) -> str:
    """Return the URL clients use."""
    return f"https://{host_port(host.address, ETCD_CLIENT_PORT)}"


def peer_url(host: Host) -> str:
    """Return the URL other members use."""
    return f"https://{host_port(host.address, ETCD_PEER_PORT)}"


def parked_url(host: Host) -> str:
    """Return a URL by which no member is reached, and which no other member can have."""
    return f"https://{host_port(host.address, UNUSED_PORT)}"


def founding(spec: ClusterSpec, inventory: Inventory, host: Host, images: Mapping[str, str]) -> Object:
    """Return the pod of a member that founds the cluster, together with all others of the inventory."""
    return _pod(spec, host, images, members=_members(inventory), state="new")


def settled(spec: ClusterSpec, host: Host, images: Mapping[str, str]) -> Object:
    """Return the pod of a member that has its data; what must be on the host once the cluster is founded."""
    return _pod(spec, host, images, members={host.name: peer_url(host)}, state=_EXISTING)


def member_extra(spec: ClusterSpec) -> tuple[Argument, ...]:
    """Return `etcd.local.extraArgs` of a founded cluster."""
    return extra_arguments(spec.etcd, ours={_STATE: _EXISTING}, gates=_GATES)


def restore_flags(host: Host, members: Sequence[Host]) -> tuple[str, ...]:
    """Return what `etcdutl snapshot restore` is told of the member that its data are made for, and of all others."""
    cluster = ",".join(f"{one.name}={peer_url(one)}" for one in members)
    return "--name", host.name, "--initial-cluster", cluster, "--initial-advertise-peer-urls", peer_url(host)


def _members(inventory: Inventory) -> dict[str, str]:
    return {member.name: peer_url(member) for member in inventory.etcd_members}


def arguments(spec: ClusterSpec, host: Host, *, members: Mapping[str, str], state: str = _EXISTING) -> list[str]:
    """Return etcd's command line, its name first.

    Args:
        spec: the cluster.
        host: the member's.
        members: name -> peer URL, for `initial-cluster`.
        state: for `initial-cluster-state`.
    """
    loopback = _loopback(host)
    flags = {
        **_certificate_flags(),
        "advertise-client-urls": client_url(host),
        "data-dir": ETCD_DATA,
        "feature-gates": "InitialCorruptCheck=true",
        "initial-advertise-peer-urls": peer_url(host),
        "initial-cluster": ",".join(f"{name}={url}" for name, url in members.items()),
        "listen-client-urls": f"https://{host_port(loopback, ETCD_CLIENT_PORT)},{client_url(host)}",
        "listen-metrics-urls": f"http://{host_port(loopback, ETCD_METRICS_PORT)}",
        "listen-peer-urls": peer_url(host),
        "name": host.name,
        "snapshot-count": "10000",
        "watch-progress-notify-interval": "5s",
    }
    return command(ETCD, flags, extra_arguments(spec.etcd, ours={_STATE: state}, gates=_GATES))


def _pod(spec: ClusterSpec, host: Host, images: Mapping[str, str], *, members: Mapping[str, str], state: str) -> Object:
    return static_pod(
        component=ETCD,
        image=images[ETCD],
        command=arguments(spec, host, members=members, state=state),
        probe=Probe(
            host=_loopback(host),
            port=ETCD_METRICS_PORT,
            live="/livez",
            ready="/readyz",
            start="/readyz",
            scheme="HTTP",
        ),
        mounts=[
            Mount(name="etcd-data", path=ETCD_DATA, read_only=False),
            Mount(name="etcd-certs", path=ETCD_PKI, read_only=False),
        ],
        requests={"cpu": "100m", "memory": "100Mi"},
        annotations={_ADVERTISE: client_url(host)},
    )


def _loopback(host: Host) -> str:
    return "::1" if ":" in host.address else "127.0.0.1"


def _certificate_flags() -> dict[str, str]:
    return {
        "cert-file": f"{ETCD_PKI}/server.crt",
        "client-cert-auth": "true",
        "key-file": f"{ETCD_PKI}/server.key",
        "peer-cert-file": f"{ETCD_PKI}/peer.crt",
        "peer-client-cert-auth": "true",
        "peer-key-file": f"{ETCD_PKI}/peer.key",
        "peer-trusted-ca-file": f"{ETCD_PKI}/ca.crt",
        "trusted-ca-file": f"{ETCD_PKI}/ca.crt",
    }
