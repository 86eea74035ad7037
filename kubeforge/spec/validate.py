"""Every rule that looks at more than one field, or at the inventory. Pure: asks no host, reads no file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from kubeforge.errors import InputError, Problem
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.rules import access, api_server, components, flags, hosts, networks, nodes, parts
from kubeforge.spec.rules.findings import InventoryRule, Rule

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["INVENTORY_RULES", "RULES", "validate"]

RULES: Final[tuple[Rule, ...]] = (
    *parts.RULES,
    *networks.RULES,
    *access.RULES,
    *components.RULES,
    *flags.RULES,
    *api_server.RULES,
    *nodes.RULES,
)
INVENTORY_RULES: Final[tuple[InventoryRule, ...]] = (
    *hosts.INVENTORY_RULES,
    *networks.INVENTORY_RULES,
    *access.INVENTORY_RULES,
    *nodes.INVENTORY_RULES,
)


def validate(spec: ClusterSpec, inventory: Inventory | None) -> list[Problem]:
    """Return everything that is wrong or doubtful, in the order of the rules.

    Args:
        spec: as pydantic took it.
        inventory: the hosts; None where it cannot be read: then only the rules that look at the spec alone are asked.

    Returns:
        Errors and warnings; problems about cluster.yml have a field and no file, those about hosts have both.
    """
    asked = [partial(rule, spec) for rule in RULES]
    if inventory is not None:
        asked += [partial(rule, spec, inventory) for rule in INVENTORY_RULES]
    found: dict[Problem, None] = {}  # several rules may meet the same variable that cannot be rendered
    for rule in asked:
        try:
            found |= dict.fromkeys(rule())
        except InputError as error:  # a host's variables are rendered when they are first looked at
            found |= dict.fromkeys(error.problems)
    return list(found)
