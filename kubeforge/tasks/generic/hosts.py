"""What a host is called, which others it knows by name, and what time it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.inventory.model import Inventory
from kubeforge.operations import Edited, File, Sysctl, TimeZone
from kubeforge.operations.edits import BlockEdit
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import family
from kubeforge.tasks.registry import task

__all__ = ["entries", "hostname", "timezone"]


@task("host.name", aka=("hostname",))
def hostname(context: Context, *, name: str | None = None) -> Iterator[Operation]:
    """What the host is called, now and at boot.

    Args:
        name: nothing said: its name in the inventory.
    """
    wanted = name or context.host.name
    yield File(path="/etc/hostname", content=f"{wanted}\n".encode())
    yield Sysctl(name="kernel.hostname", value=wanted)


@task("host.entries", aka=("etc_hosts",))
def entries(
    context: Context,
    *,
    addresses: Mapping[str, str | Sequence[str]] | None = None,
    name: str = "hosts",
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A block of /etc/hosts.

    Args:
        addresses: address -> name or names; nothing said: every host of the inventory that has an address.
        name: of the block, unique in the file.
        state: present or absent.
    """
    if addresses is None:
        addresses = _of_all(context.inventory)
    wrong = [address for address in addresses if _address(address) is None]
    if wrong:
        raise InputError([Problem(message=f"host.entries: no addresses are {', '.join(wrong)}")])
    rows = [f"{address} {names if isinstance(names, str) else ' '.join(names)}" for address, names in addresses.items()]
    yield Edited(path="/etc/hosts", edit=BlockEdit(name=name, block="\n".join(rows), state=state), create=True)


def _of_all(inventory: Inventory) -> dict[str, list[str]]:
    """Return address -> names of every host; not of those known by name, nor where each host finds itself."""
    found: dict[str, list[str]] = {}
    for host in inventory.hosts.values():
        address = _address(host.address)
        if address is not None and not address.is_loopback and host.address != host.name:
            found.setdefault(host.address, []).append(host.name)
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@task("host.timezone", aka=("timezone",))
def timezone(context: Context, *, name: str) -> Iterator[Operation]:
    """The time zone.

    Args:
        name: as below /usr/share/zoneinfo: `Europe/Berlin`, `Etc/UTC`; one that is not there is an error.
    """
    yield TimeZone(name=name)
    if family(context) == "debian":
        yield File(path="/etc/timezone", content=f"{name}\n".encode())
