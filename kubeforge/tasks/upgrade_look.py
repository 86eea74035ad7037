"""Which versions a cluster runs, asked before there is a run: by them it is decided which runs there will be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kubeforge.cluster.snapshots import kept_on
from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.inventory.model import Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER
from kubeforge.manifests.static_pod import manifest_path, version_in
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import UPGRADE
from kubeforge.spec.releases import parse
from kubeforge.spec.upgrading import read_record
from kubeforge.tasks.upgrade_record import snapshot_key
from kubeforge.transport.base import Remote

__all__ = ["before_upgrade", "versions_running"]

_MANIFESTS = tuple(manifest_path(name) for name in (API_SERVER, CONTROLLER_MANAGER))


def versions_running(inventory: Inventory, remote_of: Callable[[str], Remote]) -> tuple[str, ...]:
    """Return the versions of the control planes' API servers, by their manifests; one that cannot be asked is left out.

    An API server that an upgrade has ended for a moment has no manifest: its controller manager's tells then.

    Args:
        inventory: everybody.
        remote_of: host name -> Remote.

    Raises:
        ConnectionFailed: no control plane can be asked.
        UnfitHost: those that can be asked run none.
    """
    found = []
    for contents in _read(inventory, remote_of, _MANIFESTS):
        told = (version_in(contents.get(path, b"")) for path in _MANIFESTS)
        found += [version for version in told if version is not None][:1]
    if not found:
        raise UnfitHost(
            "no control plane runs a cluster, so there is nothing to upgrade",
            host=inventory.control_planes[0].name,
            step="upgrade.check",
            remedy="kubeforge apply founds the cluster",
        )
    return tuple(found)


def before_upgrade(inventory: Inventory, remote_of: Callable[[str], Remote]) -> tuple[str, str]:
    """Return the version that the last upgrade began with, and the name of the snapshot taken before; empty: none.

    Args:
        inventory: everybody.
        remote_of: host name -> Remote.

    Raises:
        ConnectionFailed: no control plane can be asked.
        UnfitHost: none remembers an upgrade.
    """
    told = (read_record(contents.get(UPGRADE)) for contents in _read(inventory, remote_of, (UPGRADE,)))
    found = [record for record in told if record is not None]
    if not found:
        raise UnfitHost(
            "no control plane remembers an upgrade, so there is nothing to take back",
            host=inventory.control_planes[0].name,
            step="rollback.check",
            remedy="kubeforge status shows what runs; kubeforge etcd snapshot list shows what is kept of earlier days",
        )
    keys = {snapshot_key(record.begun) for record in found}
    kept = kept_on([host.name for host in inventory.etcd_members], remote_of).all
    names = [snapshot.name for snapshot in kept if snapshot.key in keys]
    return min((record.old for record in found), key=parse), min(names, default="")


def _read(
    inventory: Inventory, remote_of: Callable[[str], Remote], paths: tuple[str, ...]
) -> Iterator[Mapping[str, bytes]]:
    """Yield what each control plane that can be asked has under some paths.

    Raises:
        ConnectionFailed: none can be asked.
    """
    failures = []
    for host in inventory.control_planes:
        try:
            contents = remote_of(host.name).observe(Queries(reads=paths)).contents
        except ConnectionFailed as error:
            failures.append(error)
        else:
            yield contents
    if failures and len(failures) == len(inventory.control_planes):
        raise failures[0]
