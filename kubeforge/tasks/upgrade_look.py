"""Which versions a cluster runs, asked before there is a run: by them it is decided which runs there will be."""

from __future__ import annotations

from collections.abc import Callable

from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.inventory.model import Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import UPGRADE, UPGRADE_FINISHED
from kubeforge.spec.upgrading import Record, is_open, read_finished, read_record
from kubeforge.tasks.upgrade import version_in
from kubeforge.transport.base import Remote

__all__ = ["records", "versions_running"]

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
    found, failures = [], []
    for host in inventory.control_planes:
        try:
            contents = remote_of(host.name).observe(Queries(reads=_MANIFESTS)).contents
        except ConnectionFailed as error:
            failures.append(error)
            continue
        told = [version for path in _MANIFESTS if (version := version_in(contents.get(path, b""))) is not None]
        found += told[:1]
    if failures and len(failures) == len(inventory.control_planes):
        raise failures[0]
    if not found:
        raise UnfitHost(
            "no control plane runs a cluster, so there is nothing to upgrade",
            host=inventory.control_planes[0].name,
            step="upgrade.check",
            remedy="kubeforge apply founds the cluster",
        )
    return tuple(found)


def records(inventory: Inventory, remote_of: Callable[[str], Remote]) -> dict[str, tuple[Record, bool]]:
    """Return what the control planes remember of their last upgrade: name -> record, and whether it is under way.

    Args:
        inventory: everybody.
        remote_of: host name -> Remote.

    Raises:
        ConnectionFailed: no control plane can be asked.
    """
    found, failures = {}, []
    for host in inventory.control_planes:
        try:
            contents = remote_of(host.name).observe(Queries(reads=(UPGRADE, UPGRADE_FINISHED))).contents
        except ConnectionFailed as error:
            failures.append(error)
            continue
        record, finished = read_record(contents.get(UPGRADE)), read_finished(contents.get(UPGRADE_FINISHED))
        if record is not None:
            found[host.name] = record, is_open(record, finished)
    if failures and len(failures) == len(inventory.control_planes):
        raise failures[0]
    return found
