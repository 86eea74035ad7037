"""How etcd runs on a host: as static pod on a control plane, as service on a host of its own. Registers no task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kubeforge.cluster.evidence import component_log, unit_log
from kubeforge.cluster.processes import command_lines
from kubeforge.documents import dump
from kubeforge.engine.model import Context
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd import ETCD, arguments, joining, peer_url, settled
from kubeforge.manifests.etcd_service import joining_unit, settled_unit
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.absent import Absent
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.operations.unit import Unit
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_PKI, ETCD_UNIT, ETCD_USER, MANIFESTS
from kubeforge.transport.base import Remote

__all__ = [
    "LISTENS",
    "SIGNS",
    "UNIT",
    "data_directory",
    "is_service",
    "joins",
    "lacks_settled",
    "log",
    "owner",
    "runs",
    "still_runs",
    "stopped",
]

UNIT: Final = ETCD_UNIT.rpartition("/")[2]
SIGNS: Final = (manifest_path(ETCD), ETCD_UNIT)
"""Files of which one is there wherever etcd was set up: they are written after its data."""

LISTENS: Final = (f"artifact {BIN}/{ETCD}", f"file {ETCD_UNIT}", f"file {ETCD_PKI}/ca.crt")
"""Changes that restart the service. Its other certificates are read anew by etcd itself."""


def is_service(spec: ClusterSpec) -> bool:
    """Whether etcd is a service on hosts of its own."""
    return spec.etcd.topology == "external"


def owner(spec: ClusterSpec) -> str:
    """Return the user that etcd runs as, and whom its data belong to."""
    return ETCD_USER if is_service(spec) else "root"


def data_directory(spec: ClusterSpec) -> Directory:
    """Return the directory of its data."""
    return Directory(path=ETCD_DATA, owner=owner(spec), group=owner(spec), mode=0o700)


def runs(context: Context) -> list[Operation]:
    """Make the member run as it shall."""
    if is_service(context.cluster):
        return _service(settled_unit(context.cluster, context.host))
    pod = settled(context.cluster, context.host, context.parts.images)
    return [
        Directory(path=MANIFESTS, mode=0o700),
        File(path=manifest_path(ETCD), content=dump(pod).encode(), mode=0o600),
    ]


def joins(context: Context, members: Mapping[str, str]) -> list[Operation]:
    """Make a member without data run so that it joins.

    Args:
        context: of its host.
        members: name -> peer URL of all, the new one among them.
    """
    if is_service(context.cluster):
        return _service(joining_unit(context.cluster, context.host, members=members))
    pod = joining(context.cluster, context.host, context.parts.images, members=members)
    return [File(path=manifest_path(ETCD), content=dump(pod).encode(), mode=0o600)]


def _service(unit: str) -> list[Operation]:
    return [File(path=ETCD_UNIT, content=unit.encode()), Unit(name=UNIT, listens=LISTENS)]


def stopped(spec: ClusterSpec) -> Operation:
    """Make the member not run; a pod ends some time after its manifest has gone."""
    if is_service(spec):
        return Unit(name=UNIT, enabled=None, state="stopped")
    return Absent(path=manifest_path(ETCD), keep=False)


def still_runs(remote: Remote, host: Host) -> str | None:
    """Say that a member's process runs; None where it has ended. Other etcds, in pods of the cluster, do not count."""
    mine = f"--name={host.name}"
    return "it still runs" if any(mine in line for line in command_lines(remote, ETCD)) else None


def lacks_settled(remote: Remote, spec: ClusterSpec, host: Host) -> str | None:
    """Say what the process of a member lacks to run as it shall; None where it does."""
    _, *flags = arguments(spec, host, members={host.name: peer_url(host)})
    found = [line[1:] for line in command_lines(remote, ETCD)]
    if not found:
        return "etcd does not run"
    return None if flags in found else "etcd still runs with other arguments"


def log(remote: Remote, spec: ClusterSpec) -> list[str]:
    """Return etcd's last words on a host."""
    return unit_log(remote, UNIT) if is_service(spec) else component_log(remote, ETCD)
