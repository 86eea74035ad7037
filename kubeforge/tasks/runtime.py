"""The container runtime: containerd, runc and the CNI plugins, their configuration, the unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests import containerd
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
)
from kubeforge.tasks.drop_ins import foreign_drop_ins
from kubeforge.tasks.drop_ins import reads as drop_in_reads
from kubeforge.tasks.parts import program
from kubeforge.tasks.registry import task

__all__ = ["install"]

_PROGRAMS: Final = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
_PLUGIN: Final = "cni/"


_UNIT: Final = "containerd.service"


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return drop_in_reads(_UNIT)


@task("runtime.install", reads=_reads)
def install(context: Context) -> Iterator[Operation]:
    """Install containerd, runc and the CNI plugins, and run containerd."""
    if not context.host.is_node:
        return
    spec, facts, parts = context.cluster, context.mine, context.parts
    folders = (BIN, CNI_BIN, CNI_CONF, CONTAINERD_CERTS)
    mirrors = containerd.registry_hosts(spec)
    for path in (*folders, *dict.fromkeys(path.rpartition("/")[0] for path in mirrors)):
        yield Directory(path=path)
    programs = [program(context, name, f"{BIN}/{name}") for name in _PROGRAMS]
    plugins = sorted(name for name, arch in parts.files if arch == facts.arch and name.startswith(_PLUGIN))
    yield from programs
    yield from (program(context, name, f"{CNI_BIN}/{name.removeprefix(_PLUGIN)}") for name in plugins)
    yield File(path=CONTAINERD_CONFIG, content=containerd.config_toml(spec, facts, parts.images).encode())
    yield from (File(path=path, content=text.encode()) for path, text in mirrors.items())
    yield Directory(path=CONTAINER_SCOPES.rpartition("/")[0])
    yield File(path=CONTAINER_SCOPES, content=containerd.scopes().encode())
    yield File(path=CONTAINERD_UNIT, content=containerd.unit().encode())
    foreign = foreign_drop_ins(context, _UNIT)
    yield from foreign
    yield Unit(name=_UNIT, listens=(*_listened(programs), *(one.title for one in foreign)))


def _listened(programs: list[Artifact]) -> tuple[str, ...]:
    """A change of containerd itself, its configuration or its unit restarts it; shim and runc are started anew anyway.

    Registry mirrors are read at every pull.
    """
    own = [one.title for one in programs if one.path == f"{BIN}/containerd"]
    return (*own, f"file {CONTAINERD_CONFIG}", f"file {CONTAINERD_UNIT}")
