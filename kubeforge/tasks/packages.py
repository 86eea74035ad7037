"""Packages of a host's distribution, by whatever manager its family has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from kubeforge.engine.model import Facts
from kubeforge.operations.package import Package

__all__ = ["packages"]

_MANAGERS: Final[Mapping[str, Literal["apt", "dnf", "zypper"]]] = {"debian": "apt", "rhel": "dnf", "suse": "zypper"}


def packages(facts: Facts, names: Iterable[str]) -> Iterator[Package]:
    """Yield packages that all families call the same; none on a host of no known family."""
    manager = next((found for family, found in _MANAGERS.items() if family in facts.os_like), None)
    if manager is not None:
        yield from (Package(name=name, manager=manager) for name in names)
