"""How a script's inventory is read: once by itself, and anew for each playbook that has variables beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.inventory.vault import Vault, VaultPassword

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reading it takes.

    Args:
        path: where it lies.
        variables: over all others.
        passwords: of what ansible-vault has encrypted.
        facts: host -> variables that constructed groups see.
    """

    path: Path
    variables: Mapping[str, Any] = field(repr=False)
    passwords: tuple[VaultPassword, ...] = field(repr=False)
    facts: Mapping[str, Mapping[str, Any]] | None = field(default=None, repr=False)

    def read(self, *, playbook_folder: Path | None = None, facts_come: bool = False) -> Inventory:
        """Return the inventory; see inventory.loader.load.

        Raises:
            InputError: all its problems.
        """
        return load(
            self.path,
            extra_vars=self.variables,
            playbook_folder=playbook_folder,
            vault=Vault(self.passwords),
            facts=self.facts,
            facts_come=facts_come,
        )
