"""Snapshots that hosts of etcd take by themselves: each of its own member, by a timer of systemd. See ADR 0075."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.cluster.etcd import etcdctl
from kubeforge.engine.model import Context
from kubeforge.manifests.etcd_snapshot import snapshot_script, snapshot_timer, snapshot_unit
from kubeforge.operations.absent import Absent
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import ETCD_SNAPSHOT, ETCD_SNAPSHOT_TIMER, ETCD_SNAPSHOT_UNIT, OWN_CONFIG, SNAPSHOTS
from kubeforge.tasks.registry import task

__all__ = ["schedule"]

_FILES = (ETCD_SNAPSHOT_TIMER, ETCD_SNAPSHOT_UNIT, ETCD_SNAPSHOT)
_TIMER = ETCD_SNAPSHOT_TIMER.rpartition("/")[2]


@task("etcd.schedule")
def schedule(context: Context) -> Iterator[Operation]:
    """Snapshots by schedule on the hosts of etcd; where cluster.yml wants none, their timer goes and they stay."""
    if context.host not in context.inventory.etcd_members:
        return
    spec = context.cluster
    given = spec.etcd.snapshots.schedule
    if given is None:
        yield Unit(name=_TIMER, enabled=False, state="stopped")
        yield from (Absent(path=path) for path in _FILES)
        return
    script = snapshot_script(spec, context.inventory, context.host, etcdctl=etcdctl())
    yield Directory(path=SNAPSHOTS, mode=0o700)
    yield Directory(path=OWN_CONFIG)
    yield File(path=ETCD_SNAPSHOT, content=script.encode(), mode=0o755)
    yield File(path=ETCD_SNAPSHOT_UNIT, content=snapshot_unit().encode())
    yield File(path=ETCD_SNAPSHOT_TIMER, content=snapshot_timer(given).encode())
    yield Unit(name=_TIMER, listens=(f"file {ETCD_SNAPSHOT_TIMER}", f"file {ETCD_SNAPSHOT_UNIT}"))
