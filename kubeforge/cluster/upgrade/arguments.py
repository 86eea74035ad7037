"""Asks the binaries of a version on the way whether they take what cluster.yml gives them, where they are there.

They are after `kubeforge apply --tags prepare`, or in the middle of an upgrade. What is not there yet cannot be asked;
then the tables of flags judge, and each binary is asked before anything of it changes (ADR 59). Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kubeforge.cluster.programs import refused_arguments
from kubeforge.documents import Object
from kubeforge.manifests.control_plane import api_server, controller_manager, scheduler
from kubeforge.manifests.etcd import settled
from kubeforge.transport.base import Remote

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory
    from kubeforge.spec.model import ClusterSpec

__all__ = ["ask_arguments"]


def ask_arguments(
    remote: Remote,
    spec: ClusterSpec,
    inventory: Inventory,
    host: Host,
    *,
    images: Mapping[str, str],
    here: Iterable[str],
) -> dict[str, tuple[str, ...]]:
    """Return component -> its words against its arguments, none where it takes them; only those that could be asked.

    Args:
        remote: the control plane.
        spec: the cluster, with the version on the way.
        inventory: the hosts.
        host: the control plane.
        images: logical name -> reference, of that version.
        here: references that its containerd has.
    """
    known = set(here)
    found: dict[str, tuple[str, ...]] = {}
    for pod in _pods(spec, inventory, host, images):
        container = pod["spec"]["containers"][0]
        if container["image"] in known:
            words = refused_arguments(remote, container["image"], container["command"])
            if words is not None:
                found[str(pod["metadata"]["name"])] = words
    return found


def _pods(spec: ClusterSpec, inventory: Inventory, host: Host, images: Mapping[str, str]) -> list[Object]:
    pods = [api_server(spec, inventory, host, images), controller_manager(spec, images), scheduler(spec, images)]
    return pods if spec.etcd.topology == "external" else [settled(spec, host, images), *pods]
