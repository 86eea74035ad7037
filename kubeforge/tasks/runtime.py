"""The container runtime: containerd, runc and the CNI plugins, their configuration, the unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kubeforge.engine.model import Action, Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests import containerd
from kubeforge.operations.absent import Absent
from kubeforge.operations.artifact import Artifact
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.kept_file import KeptFile
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
from kubeforge.tasks.parts import kept_program, prepared_program, program
from kubeforge.tasks.registry import task
from kubeforge.tasks.runtime_rolled import RuntimeRolled

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
def roll(context: Context) -> Iterator[Operation | Action]:
    """Containerd of a node that lives: one that does not start again has its old version and files back."""
    if context.host.is_node and living.node_lives(context):
        paths = {name: f"{BIN}/{name}" for name in _PROGRAMS}
        programs = [kept_program(context, name, path, _aside(path)) for name, path in paths.items()]
        texts = [KeptFile(path=path, content=text, aside=_aside(path)) for path, text in _texts(context).items()]
        foreign = foreign_drop_ins(context, _UNIT)
        yield from (*programs, *texts, *foreign)
        unproved = living.is_unproved(context, living.RUNTIME)
        yield RuntimeRolled(files=(*programs, *texts), unit=_unit(foreign), unproved=unproved)


def _service(context: Context) -> Iterator[Operation]:
    """Containerd with its configuration."""
    yield from (File(path=path, content=text) for path, text in _texts(context).items())
    foreign = foreign_drop_ins(context, _UNIT)
    yield from foreign
    yield _unit(foreign)


def _texts(context: Context) -> dict[str, bytes]:
    """Return the files that it reads, and its unit."""
    config = containerd.config_toml(context.cluster, context.mine, context.parts.images)
    return {CONTAINERD_CONFIG: config.encode(), CONTAINERD_UNIT: containerd.unit().encode()}


def _unit(foreign: Sequence[Absent]) -> Unit:
    """Restart it for another program, another file, or a drop-in that goes.

    Shim and runc are started anew for every container anyway.
    """
    own = (f"artifact {BIN}/containerd", f"file {CONTAINERD_CONFIG}", f"file {CONTAINERD_UNIT}")
    return Unit(name=_UNIT, listens=(*own, *(one.title for one in foreign)))


def _aside(path: str) -> str:
    return living.aside(living.RUNTIME, path)


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
