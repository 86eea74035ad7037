"""How rules say what they found; lines are filled in by the loader, which knows the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from kubeforge.errors import Problem
from kubeforge.spec.document import field_name

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory
    from kubeforge.spec.model import ClusterSpec

__all__ = ["InventoryRule", "Rule", "about_host", "caution", "fault", "is_address", "is_dns_name"]

Rule = Callable[["ClusterSpec"], Iterable[Problem]]
"""Looks at the spec alone, so it is asked also where the inventory cannot be read."""

InventoryRule = Callable[["ClusterSpec", "Inventory"], Iterable[Problem]]

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MAX_NAME: Final = 253


def fault(message: str, *path: str | int) -> Problem:
    """Return an error about a field of cluster.yml."""
    return Problem(message=message, field=field_name(path) or None)


def caution(message: str, *path: str | int) -> Problem:
    """Return a warning about a field of cluster.yml."""
    return Problem(message=message, field=field_name(path) or None, warning=True)


def about_host(host: Host, message: str, *, warning: bool = False) -> Problem:
    """Return a problem about a host of the inventory, with the place it is written at."""
    return Problem(message=message, file=host.file, line=host.line, field=host.name, warning=warning)


def is_dns_name(text: str) -> bool:
    """Tell whether text is an RFC 1123 subdomain, as Kubernetes wants names of nodes and domains to be."""
    return len(text) <= _MAX_NAME and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_address(text: str) -> bool:
    """Tell whether text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
