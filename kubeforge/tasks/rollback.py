"""An upgrade is taken back on a host: what ran before is put back out of the generations, behind the same gates.

What to put back is never rendered anew: it is the bytes, links and states of units that were there when the upgrade
began, as the ledger keeps them (ADR 82). Three parts in this order: what components read, the components themselves,
and last what was not there before. Whether it may be done at all is `rollback_check`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kubeforge.engine.generations import LEDGER_QUERIES, forgotten, read_ledger, taken_back
from kubeforge.engine.model import Action, Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests import kubelet as files
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.absent import Absent
from kubeforge.operations.image_absent import ImagesAbsent
from kubeforge.operations.kept_manifest import RestoredManifest
from kubeforge.operations.model import Operation, Queries
from kubeforge.operations.restore import Restore, RestoreUnit
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import (
    BIN,
    CONTAINERD_CONFIG,
    CONTAINERD_UNIT,
    ETCD_UNIT,
    KUBELET_CONF,
    KUBELET_CONFIG,
    KUBELET_DROP_IN,
    KUBELET_FLAGS,
    KUBELET_INSTANCE_CONFIG,
    KUBELET_UNIT,
    LAST_GOOD,
    UPGRADE,
    UPGRADE_FINISHED,
    UPGRADE_SERVED,
)
from kubeforge.spec.upgrading import Record, read_record
from kubeforge.tasks import living
from kubeforge.tasks.control_plane import api_server_of, api_servers
from kubeforge.tasks.etcd_members import MemberServes
from kubeforge.tasks.etcd_runs import is_service
from kubeforge.tasks.parking import ApiServerEnds
from kubeforge.tasks.registry import task
from kubeforge.tasks.rolled_back import KubeletServes, PodServes
from kubeforge.tasks.rolling import Spared

__all__ = ["Kept", "etcd", "finish", "host_files", "kept", "kubelet", "pods", "reads", "runtime", "stopped"]

_MARKS: Final = (UPGRADE_FINISHED, UPGRADE_SERVED, UPGRADE)
_KUBELET: Final = (
    *(f"{BIN}/kubelet", KUBELET_CONFIG, KUBELET_INSTANCE_CONFIG, KUBELET_FLAGS, KUBELET_CONF),
    *(KUBELET_UNIT, KUBELET_DROP_IN),
)
_RUNTIME: Final = (
    *(f"{BIN}/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr", "runc")),
    *(CONTAINERD_CONFIG, CONTAINERD_UNIT),
)
_ETCD: Final = (f"{BIN}/etcd", ETCD_UNIT)
_PODS: Final = {manifest_path(name): name for name in (SCHEDULER, CONTROLLER_MANAGER, API_SERVER, ETCD)}
_UNITS: Final = {"kubelet.service": _KUBELET, "containerd.service": _RUNTIME, "etcd.service": _ETCD}


def reads(inventory: Inventory, host: Host) -> Queries:
    """Ask for the record and the ledger."""
    own = Queries(reads=(UPGRADE, UPGRADE_FINISHED, UPGRADE_SERVED))
    return Queries.merge((LEDGER_QUERIES, living.reads(inventory, host), own))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What takes a host's last upgrade back, by when it is due.

    Args:
        record: of the upgrade.
        files: what was there and no component is.
        components: path -> what puts back a component's own file.
        stops: units that did not run before.
        removals: what was not there before, then undo lines and other units.
        marks: the upgrade's own files.
        forget: the generations since.
    """

    record: Record
    files: tuple[Operation, ...] = ()
    components: dict[str, Restore] = field(default_factory=dict)
    stops: tuple[Operation, ...] = ()
    removals: tuple[Operation, ...] = ()
    marks: tuple[Operation, ...] = ()
    forget: tuple[Operation, ...] = ()

    def of(self, paths: Sequence[str]) -> list[Restore]:
        """Return what puts back these, in this order."""
        return [self.components[path] for path in paths if path in self.components]


def kept(context: Context, host: str) -> Kept | None:
    """Return what takes a host's last upgrade back; None: it remembers none.

    Args:
        context: of any host.
        host: whose.
    """
    seen = context.seen[host]
    record = read_record(seen.contents.get(UPGRADE))
    if record is None:
        return None
    ledger = read_ledger(seen)
    operations = taken_back(ledger, record.base)
    own = {path for paths in (_KUBELET, _RUNTIME, _PODS) for path in paths}
    if is_service(context.cluster):  # on control planes etcd's program is a tool, and its pod is what runs
        own |= set(_ETCD)
    restores = [one for one in operations if isinstance(one, Restore)]
    rest = [one for one in restores if one.path not in own and one.path not in _MARKS]
    units = [one for one in operations if isinstance(one, RestoreUnit)]
    others = [one for one in operations if not isinstance(one, Restore | RestoreUnit)]
    after = [one for one in units if not one.before and one.unit.name not in _UNITS]
    return Kept(
        record=record,
        files=tuple(one for one in rest if one.prior is not None),
        components={one.path: one for one in restores if one.path in own},
        stops=tuple(one for one in units if one.before),
        removals=(*(one for one in rest if one.prior is None), *others, *after),
        marks=tuple(one for path in _MARKS for one in restores if one.path == path),
        forget=tuple(forgotten(ledger, record.base)),
    )


@task("rollback.files", reads=reads)
def host_files(context: Context) -> Iterator[Operation]:
    """Put back what components read, and all else that was there; nothing is restarted."""
    back = kept(context, context.host.name)
    if back is not None:
        yield from back.files


@task("rollback.runtime", reads=reads)
def runtime(context: Context) -> Iterator[Operation]:
    """Put back containerd, runc and their configuration; containers run on."""
    yield from _with_unit(context, "containerd.service")


@task("rollback.kubelet", reads=reads)
def kubelet(context: Context) -> Iterator[Operation | Action]:
    """Put back the kubelet and what it reads, and see that it serves."""
    operations = list(_with_unit(context, "kubelet.service"))
    if operations and context.host.is_node:
        yield from operations
        port = int(files.cluster_configuration(context.cluster)["healthzPort"])
        node = context.host.name if context.host in context.inventory.control_planes else ""
        yield KubeletServes(titles=tuple(one.title for one in operations), health_port=port, node=node)


@task("rollback.pods", reads=reads)
def pods(context: Context) -> Iterator[Operation | Action]:
    """Put back the static pods of a control plane, in reverse: scheduler, controller manager, API server, etcd."""
    back = kept(context, context.host.name)
    if back is None or context.host not in context.inventory.control_planes:
        return
    server, member = (back.components.get(manifest_path(name)) for name in (API_SERVER, ETCD))
    clients = [name for name in (SCHEDULER, CONTROLLER_MANAGER) if manifest_path(name) in back.components]
    beside = None if server is None else api_server_of(context)
    for name in clients:
        yield from _pod(back, PodServes(component=name, server=beside))
    if server is not None or member is not None:
        yield Spared(name="rollback.gate", etcd=member is not None, servers=api_servers(context))
    serves = PodServes(component=API_SERVER, clients=tuple(clients))
    if member is not None and server is not None and len(context.inventory.control_planes) > 1:
        yield ApiServerEnds(before=member)
        yield from _pod(back, PodServes(component=ETCD))
        yield from _pod(back, serves)
    else:
        yield from _pod(back, serves)
        yield from _pod(back, PodServes(component=ETCD), alone=True)


@task("rollback.stopped", reads=reads)
def stopped(context: Context) -> Iterator[Operation]:
    """Put back kubelet, static pods and etcd of a host on which all these are stopped; starts nothing."""
    back = kept(context, context.host.name)
    if back is None:
        return
    yield from back.of(tuple(_PODS))
    for name in ("kubelet.service", "etcd.service"):
        restores = back.of(_UNITS[name])
        yield from restores
        if restores:  # so that systemd reads it again; it is started later
            heard = tuple(one.title for one in restores)
            yield RestoreUnit(unit=Unit(name=name, enabled=None, state=None, listens=heard))


@task("rollback.etcd", reads=reads)
def etcd(context: Context) -> Iterator[Operation | Action]:
    """Put back an etcd that is a service on a host of its own, and see that it serves."""
    if context.host in context.inventory.etcd_members and context.host not in context.inventory.control_planes:
        operations = list(_with_unit(context, "etcd.service"))
        yield from operations
        if operations:
            yield MemberServes(name="rollback.etcd", alone=True)


@task("rollback.finish", reads=reads)
def finish(context: Context) -> Iterator[Operation]:
    """Remove what was not there before, images too, and forget the upgrade."""
    back = kept(context, context.host.name)
    if back is None:
        return
    yield from (*back.stops, *back.removals)
    if back.record.brings and context.host.is_node:
        yield ImagesAbsent(images=back.record.brings, why="came with the upgrade")
    yield Absent(path=LAST_GOOD, recursive=True, keep=False, why="everything runs as before")
    yield from (*back.marks, *back.forget)


def _with_unit(context: Context, name: str) -> Iterator[Operation]:
    """Yield what puts back a unit's files, then the unit with them; nothing where none was changed."""
    back = kept(context, context.host.name)
    restores = [] if back is None else back.of(_UNITS[name])
    if restores:
        yield from restores
        yield RestoreUnit(unit=Unit(name=name, enabled=None, listens=tuple(one.title for one in restores)))


def _pod(back: Kept, serves: PodServes, *, alone: bool = False) -> Iterator[Operation | Action]:
    """Yield what puts back a static pod; `alone`: the only etcd, without which the kubelet cannot tell of its end."""
    path = manifest_path(serves.component)
    restore = back.components.get(path)
    if restore is not None:
        aside = living.aside(serves.component, path)
        yield restore if alone else RestoredManifest(path=path, prior=restore.prior, purge=restore.purge, aside=aside)
        yield serves
