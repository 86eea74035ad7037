"""What an addon is given and what it is. No addon in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeforge.documents import Object
from kubeforge.spec.model import ClusterSpec

if TYPE_CHECKING:
    from kubeforge.engine.model import Facts
    from kubeforge.inventory.model import Inventory

__all__ = ["Addon", "Cluster", "no_host_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What addons are made from.

    Args:
        spec: the cluster.
        inventory: everybody.
        facts: host name -> facts; what must hold everywhere is decided over all of them.
        images: logical name -> reference.
    """

    spec: ClusterSpec
    inventory: Inventory
    facts: Mapping[str, Facts]
    images: Mapping[str, str]


def no_host_files(_: ClusterSpec) -> dict[str, str]:
    """Say that an addon needs no file on hosts."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One row of the registry.

    Args:
        name: as people call it.
        enabled: whether a spec wants it.
        objects: what it is, in the order to apply.
        workload: kind, namespace and name of what must be available before it counts as there; None: nothing runs.
        host_files: path -> text of files (mode 0644) every node needs before its kubelet starts.
    """

    name: str
    enabled: Callable[[ClusterSpec], bool]
    objects: Callable[[Cluster], list[Object]]
    workload: tuple[str, str, str] | None
    host_files: Callable[[ClusterSpec], dict[str, str]] = no_host_files
