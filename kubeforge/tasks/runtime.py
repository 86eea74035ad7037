"""The container runtime: containerd, runc and the CNI plugins, their configuration, the unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests import containerd
from kubeforge.operations.absent import Absent
from kubeforge.operations.artifact import Artifact
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation, Queries
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import (
    BIN,
    CNI_BIN,
    CNI_CONF,
    CONTAINER_SCOPES,
    CONTAINERD_CERTS,
    CONTAINERD_CONFIG,
    CONTAINERD_UNIT,
    KUBELET_LOGINS,
    REGISTRIES,
)
from kubeforge.tasks import living
from kubeforge.tasks.drop_ins import foreign_drop_ins
from kubeforge.tasks.drop_ins import reads as drop_in_reads
from kubeforge.tasks.parts import prepared_program, program
from kubeforge.tasks.registry import task

__all__ = ["install", "roll"]

_PROGRAMS: Final = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
_PLUGIN: Final = "cni/"
_UNIT: Final = "containerd.service"


def _reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((living.reads(inventory, host), Queries(reads=(REGISTRIES,)), drop_in_reads(_UNIT)))


@task("runtime.install", reads=_reads)
def install(context: Context) -> Iterator[Operation]:
    """Install containerd, runc and the CNI plugins; where nothing lives yet, run containerd."""
    if not context.host.is_node:
        return
    for path in (BIN, CNI_BIN, CNI_CONF, CONTAINERD_CERTS):
        yield Directory(path=path)
    lives = living.node_lives(context)
    for name in _PROGRAMS:
        yield prepared_program(context, name, f"{BIN}/{name}", lives=lives)
    yield from _plugins(context)
    yield from _registries(context)
    yield Directory(path=CONTAINER_SCOPES.rpartition("/")[0])
    yield File(path=CONTAINER_SCOPES, content=containerd.scopes().encode())
    if lives:
        yield Unit(name=_UNIT)  # images are imported next; what would restart it waits for its turn
    else:
        yield from _service(context)


@task("runtime.roll", reads=_reads)
def roll(context: Context) -> Iterator[Operation]:
    """Containerd of a node that lives: where it does not start again, no further node is touched."""
    if context.host.is_node and living.node_lives(context):
        yield from (program(context, name, f"{BIN}/{name}") for name in _PROGRAMS)
        yield from _service(context)


def _service(context: Context) -> Iterator[Operation]:
    """Containerd with its configuration; a change of it, of that or of its unit restarts it.

    Shim and runc are started anew for every container anyway.
    """
    config = containerd.config_toml(context.cluster, context.mine, context.parts.images)
    yield File(path=CONTAINERD_CONFIG, content=config.encode())
    yield File(path=CONTAINERD_UNIT, content=containerd.unit().encode())
    foreign = foreign_drop_ins(context, _UNIT)
    yield from foreign
    own = (f"artifact {BIN}/containerd", f"file {CONTAINERD_CONFIG}", f"file {CONTAINERD_UNIT}")
    yield Unit(name=_UNIT, listens=(*own, *(one.title for one in foreign)))


def _plugins(context: Context) -> list[Artifact]:
    listed = sorted(name for name, arch in context.parts.files if arch == context.mine.arch)
    named = [name for name in listed if name.startswith(_PLUGIN)]
    return [program(context, name, f"{CNI_BIN}/{name.removeprefix(_PLUGIN)}") for name in named]


def _registries(context: Context) -> Iterator[Operation]:
    """Mirrors and logins; what an earlier cluster.yml had of them and this one has not goes.

    Both are read at every pull (logins at the latest five minutes later), so nothing is restarted.
    """
    spec = context.cluster
    found: dict[str, File] = {
        path: File(path=path, content=text.encode()) for path, text in containerd.registry_hosts(spec).items()
    }
    logins = containerd.logins(spec)
    if logins is not None:
        found[KUBELET_LOGINS] = File(path=KUBELET_LOGINS, content=logins, mode=0o600)
    for path, file in found.items():
        yield Directory(path=path.rpartition("/")[0])
        yield file
    known = context.seen[context.host.name].contents.get(REGISTRIES)
    before = [] if known is None else known.decode().splitlines()
    yield from (Absent(path=path) for path in before if path not in found)
    if found or before:
        yield File(path=REGISTRIES, content="".join(f"{path}\n" for path in found).encode(), mode=0o600)
