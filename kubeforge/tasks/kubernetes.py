"""Kubernetes' own programs on a node, as packages bring them: with the kubelet's unit, ready for `kubeadm join`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.manifests import kubelet
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import BIN, KUBELET_DROP_IN, KUBELET_UNIT
from kubeforge.tasks import living
from kubeforge.tasks.parts import prepared_program
from kubeforge.tasks.registry import task

__all__ = ["install"]


_PROGRAMS: Final = ("kubelet", "kubeadm", "kubectl")


@task("kubernetes.install", reads=living.reads)
def install(context: Context) -> Iterator[Operation]:
    """The kubelet with its unit, kubeadm and kubectl. Nothing is started.

    Of a node that lives other versions are only stored: `kubelet.roll` links them when it is the node's turn.
    """
    if context.host.is_node:
        yield Directory(path=BIN)
        lives = living.node_lives(context)
        for name in _PROGRAMS:
            yield prepared_program(context, name, f"{BIN}/{name}", lives=lives)
        yield Directory(path=KUBELET_DROP_IN.rpartition("/")[0])
        yield File(path=KUBELET_UNIT, content=kubelet.unit().encode())
        yield File(path=KUBELET_DROP_IN, content=kubelet.drop_in().encode())
        yield Unit(name=KUBELET_UNIT.rpartition("/")[2], state=None)  # it waits for its configuration
