"""In which groups a cluster's nodes are taken, from cluster.yml's `upgrade.groups`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeforge.engine.playbook import Pool, Portion
from kubeforge.inventory.model import Host, Inventory

if TYPE_CHECKING:
    from kubeforge.spec.model import ClusterSpec, UpgradeGroup

__all__ = ["group_of", "pools_of"]


def pools_of(spec: ClusterSpec, inventory: Inventory) -> tuple[Pool, ...]:
    """Return the pools, in the order of cluster.yml."""
    return tuple(
        Pool(
            name=name,
            hosts=frozenset(inventory.groups.get(name, ())),
            serial=tuple(map(Portion.of, group.serial)),
            most=None if group.max_unavailable is None else Portion.of(group.max_unavailable),
        )
        for name, group in spec.upgrade.groups.items()
    )


def group_of(spec: ClusterSpec, inventory: Inventory, host: Host) -> tuple[str, UpgradeGroup] | None:
    """Return the group whose rules hold for a host: of several the first; None: it is in none."""
    listed = spec.upgrade.groups.items()
    return next(((name, group) for name, group in listed if host.name in inventory.groups.get(name, ())), None)
