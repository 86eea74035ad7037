"""Every rule that looks at more than one field, or at the inventory. Pure: asks no host, reads no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeforge.errors import InputError, Problem
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.rules import access, components, hosts, networks, nodes, parts
from kubeforge.spec.rules.findings import Rule

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["RULES", "validate"]

RULES: Final[tuple[Rule, ...]] = (
    *parts.RULES,
    *hosts.RULES,
    *networks.RULES,
    *access.RULES,
    *components.RULES,
    *nodes.RULES,
)


def validate(spec: ClusterSpec, inventory: Inventory) -> list[Problem]:
    """Return everything that is wrong or doubtful, in the order of the rules.

    Args:
        spec: as pydantic took it.
        inventory: the hosts.

    Returns:
        Errors and warnings; problems about cluster.yml have a field and no file, those about hosts have both.
    """
    found: dict[Problem, None] = {}  # several rules may meet the same variable that cannot be rendered
    for rule in RULES:
        try:
            found |= dict.fromkeys(rule(spec, inventory))
        except InputError as error:  # a host's variables are rendered when they are first looked at
            found |= dict.fromkeys(error.problems)
    return list(found)
