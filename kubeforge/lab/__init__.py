"""Hosts in Linux namespaces on one machine: systemd as PID 1, sshd, an address of their own.

What it is: labs to try kubeforge on, and for its tests. What it is not: a security boundary.
The names below are imported when first used: the monitors, one process per host, need only a part of this package.
"""

# ruff: noqa: PLC0415 - importing late is the point, see above

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeforge.lab.host import Host
    from kubeforge.lab.inventory import default_inventory
    from kubeforge.lab.lab import Lab

__all__ = ["Host", "Lab", "default_inventory"]


def __getattr__(name: str) -> object:
    if name == "Lab":
        from kubeforge.lab.lab import Lab

        return Lab
    if name == "Host":
        from kubeforge.lab.host import Host

        return Host
    if name == "default_inventory":
        from kubeforge.lab.inventory import default_inventory

        return default_inventory
    raise AttributeError(name)
