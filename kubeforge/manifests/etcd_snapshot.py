"""What takes snapshots of etcd on its hosts: one script, by hand or by upgrades, and by a timer. Pure.

The script keeps with each snapshot what of the cluster's PKI its host has: a host gets no key that it does not hold
already (ADR 0075).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.render import render
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.shell import join, quote
from kubeforge.pki.certificates import Kind, Scope, has_key, rows_for
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import (
    BIN,
    ETCD_DB,
    ETCD_RESTORE,
    ETCD_SNAPSHOT,
    ETCD_WAL,
    SNAPSHOT_ABOUT,
    SNAPSHOT_DB,
    SNAPSHOT_DEADLINE,
    SNAPSHOT_PKI,
    SNAPSHOTS,
)

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = ["kept_pki", "public_parts", "snapshot_script", "snapshot_timer", "snapshot_unit"]

_SPARE: Final = 256 << 20  # bytes that a snapshot leaves to others
_ENCRYPTION: Final = "encryption-provider-config"


def kept_pki(spec: ClusterSpec, inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Return the files that make a snapshot readable and its tokens valid, as far as the host holds them.

    Authorities with their keys, the service accounts' key pair, and the file that says how Secrets are encrypted.
    """
    shared = [one for one in rows_for(inventory, host) if one.scope is Scope.SHARED]
    files = [
        path for one in shared for path in (one.certificate, *((one.key,) if has_key(inventory, host, one) else ()))
    ]
    encryption = spec.api_server.extra_args.get(_ENCRYPTION)
    if isinstance(encryption, str) and host in inventory.control_planes:
        files.append(encryption)
    return tuple(files)


def public_parts(inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Return the public files whose digests tell which cluster a snapshot is of."""
    shared = (Kind.AUTHORITY, Kind.KEY_PAIR)
    return tuple(one.certificate for one in rows_for(inventory, host) if one.kind in shared)


def snapshot_script(
    spec: ClusterSpec, inventory: Inventory, host: Host, *, etcdctl: Sequence[str], kubernetes: str = ""
) -> str:
    """Return the script.

    Args:
        spec: the cluster.
        inventory: everybody.
        host: a member's, or a control plane's.
        etcdctl: the command line that asks the host's own member, without what is asked.
        kubernetes: version of the cluster, where no API server runs beside the member; empty: that of `spec`.
    """
    return render(
        "etcd/snapshot.sh",
        about=SNAPSHOT_ABOUT,
        api_server=manifest_path(API_SERVER),
        archive=SNAPSHOT_PKI,
        cluster=spec.name,
        db=ETCD_DB,
        etcdctl=join(etcdctl),
        etcdutl=f"{BIN}/etcdutl",
        folder=SNAPSHOTS,
        host=host.name,
        keep=spec.etcd.snapshots.keep,
        kubernetes=kubernetes or spec.kubernetes,
        minutes=spec.etcd.snapshots.days * 24 * 60,
        patience=int(SNAPSHOT_DEADLINE),
        pki=[quote(path) for path in kept_pki(spec, inventory, host)],
        public=[quote(path) for path in public_parts(inventory, host)],
        restore=ETCD_RESTORE,
        snapshot=SNAPSHOT_DB,
        spare=_SPARE,
    )


def snapshot_unit() -> str:
    """Return the unit that takes one snapshot."""
    return render(
        "etcd/snapshot.service",
        data=ETCD_WAL,
        folder=SNAPSHOTS,
        restore=ETCD_RESTORE,
        script=ETCD_SNAPSHOT,
        seconds=int(3 * SNAPSHOT_DEADLINE),
    )


def snapshot_timer(schedule: str) -> str:
    """Return the timer that starts it.

    Args:
        schedule: systemd's OnCalendar.
    """
    return render("etcd/snapshot.timer", schedule=schedule)
