"""Packages of a host's distribution, by whatever manager its family has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeforge.engine.model import Facts
from kubeforge.operations.distributions import MANAGERS, family_of
from kubeforge.operations.package import Package

__all__ = ["packages"]


def packages(facts: Facts, names: Iterable[str]) -> Iterator[Package]:
    """Yield packages that all families call the same; none on a host of no known family."""
    family = family_of(facts.os_like)
    if family is not None:
        yield from (Package(name=name, manager=MANAGERS[family]) for name in names)
