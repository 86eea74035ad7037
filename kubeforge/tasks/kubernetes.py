"""Kubernetes' own programs on a node."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.model import Context
from kubeforge.operations.directory import Directory
from kubeforge.operations.model import Operation
from kubeforge.spec.paths import BIN
from kubeforge.tasks.parts import program
from kubeforge.tasks.registry import task

__all__ = ["install"]


@task("kubernetes.install")
def install(context: Context) -> Iterator[Operation]:
    """The kubelet, kubeadm and kubectl."""
    if context.host.is_node:
        yield Directory(path=BIN)
        yield from (program(context, name, f"{BIN}/{name}") for name in ("kubelet", "kubeadm", "kubectl"))
