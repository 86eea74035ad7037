"""Families of distributions, told by os-release(5), and what installs packages in each.

A package is observed on any host without knowing its family; only what installs it has to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["FAMILIES", "MANAGERS", "WORDS", "Family", "Manager", "family_of"]

Family: TypeAlias = Literal["debian", "rhel", "suse"]
Manager: TypeAlias = Literal["apt", "dnf", "zypper"]

FAMILIES: Final[tuple[Family, ...]] = ("debian", "rhel", "suse")
MANAGERS: Final[Mapping[Family, Manager]] = MappingProxyType({"debian": "apt", "rhel": "dnf", "suse": "zypper"})
WORDS: Final = '. /etc/os-release && echo "$ID $ID_LIKE"'
"""Script that prints what `family_of` takes, for Queries.outputs."""
_ALIASES: Final = {"fedora": "rhel", "centos": "rhel", "opensuse": "suse", "sles": "suse", "ubuntu": "debian"}


def family_of(words: Iterable[str]) -> Family | None:
    """Return the family of a host whose os-release says these words in ID and ID_LIKE; None: it is of none."""
    said = {_ALIASES.get(word, word) for word in words}
    return next((family for family in FAMILIES if family in said), None)
