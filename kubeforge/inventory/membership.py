"""Inventories of runs that change who is in the cluster: who joins, who leaves, who stays. Pure.

Such a run gets an inventory in which roles are what they shall be afterwards: a host that leaves has none any more, so
whoever asks for the control planes, the members of etcd or the backends of a balancer gets those that stay. A host that
is dead is not among the hosts at all: nothing could reach it even by mistake. ADR 0073.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import suggestion
from kubeforge.inventory.model import ETCD, LOAD_BALANCERS, Connection, Host, Inventory

__all__ = ["JOINING", "LEAVING", "REMADE", "STAYING", "departing", "with_joining", "with_leaving", "without"]

JOINING: Final = "joining"
"""Group of the hosts that come in with this run."""
LEAVING: Final = "leaving"
"""Group of the hosts that go and can be entered."""
STAYING: Final = "staying"
"""Group of all other hosts of the cluster."""
REMADE: Final = "remade"
"""Group: the same as `STAYING` where a control plane, a member of etcd or a balancer comes or goes; else nobody."""

_ALL: Final = "all"
_FOUND: Final = "kubeforge apply founds a cluster"
_RESET: Final = "a whole cluster is taken off its hosts by: kubeforge reset"


def without(inventory: Inventory, names: Collection[str]) -> Inventory:
    """Return the inventory as if some hosts had never been written there."""
    return replace(
        inventory,
        hosts={name: host for name, host in inventory.hosts.items() if name not in names},
        groups={group: tuple(name for name in listed if name not in names) for group, listed in _groups(inventory)},
    )


def with_joining(inventory: Inventory, names: Sequence[str], *, known: Collection[str]) -> Inventory:
    """Return the inventory of a run that takes hosts in.

    Args:
        inventory: as it is written.
        names: hosts that join; some may be half in already.
        known: hosts that the cluster has; what is neither joins some other day and takes no part.

    Raises:
        InputError: a name is not in the inventory or has no role there; nobody is there whom they could join.
    """
    roles = {host.name for host in inventory.cluster}
    problems = [_unknown(inventory, name) for name in names if name not in inventory.hosts]
    problems += [
        _without_role(inventory.hosts[name]) for name in names if name in inventory.hosts and name not in roles
    ]
    if problems:
        raise InputError(problems, remedy="a host joins with the roles that its groups in hosts.yml give it")
    taking = without(inventory, {name for name in inventory.hosts if name not in {*names, *known}})
    there = [host.name for host in taking.control_planes if host.name not in names]
    if not there:
        _refuse(f"{', '.join(names) or 'nobody'} cannot join: no other control plane is there", _FOUND)
    return _parted(
        inventory,
        replace(taking, lock_order=(*there, *(one.name for one in taking.control_planes if one.name in names))),
        joining=[name for name in taking.hosts if name in names],
        leads=_lead(taking, names),
    )


def with_leaving(
    inventory: Inventory, names: Sequence[str], *, dead: bool = False, known: Collection[str]
) -> Inventory:
    """Return the inventory of a run that lets hosts go.

    Args:
        inventory: as it is written.
        names: hosts that leave; where they are dead, the cluster may know them and the inventory not any more.
        dead: they will never answer again, and nobody shall try.
        known: hosts that the cluster has; others are not there yet and take no part.

    Raises:
        InputError: a host that shall be entered is not in the inventory; no control plane or member of etcd stays.
    """
    strangers = [name for name in names if name not in inventory.hosts]
    if strangers and not dead:
        raise InputError(
            [_unknown(inventory, name) for name in strangers],
            remedy="write its line into hosts.yml again, or say that it will never answer: --dead",
        )
    leads = bool(strangers) or _lead(inventory, names)
    gone = tuple(inventory.hosts.get(name) or _stranger(name) for name in names) if dead else ()
    absent = {name for name in inventory.hosts if name not in known and name not in names}
    left = without(inventory, {*absent, *(names if dead else ())})
    order = tuple(host.name for host in left.control_planes)
    left = replace(_stripped(left, names), gone=gone, lock_order=order)
    _refuse_empty(inventory, left)
    return _parted(inventory, left, leaving=[name for name in left.hosts if name in names], leads=leads)


def departing(inventory: Inventory) -> tuple[Host, ...]:
    """Return all hosts that leave, dead or not."""
    return (*inventory.gone, *inventory.group(LEAVING))


def _parted(
    written: Inventory,
    inventory: Inventory,
    *,
    leads: bool,
    joining: Sequence[str] = (),
    leaving: Sequence[str] = (),
) -> Inventory:
    """Add the groups of a run; names of hosts that take no part are groups of nobody, as cluster.yml may name them."""
    moving = {*joining, *leaving}
    staying = tuple(host.name for host in inventory.cluster if host.name not in moving)
    parts: dict[str, tuple[str, ...]] = {
        **{name: () for name in written.hosts if name not in inventory.hosts},
        JOINING: tuple(joining),
        LEAVING: tuple(leaving),
        STAYING: staying,
        REMADE: staying if leads else (),
    }
    return replace(inventory, groups={**inventory.groups, **parts})


def _stripped(inventory: Inventory, names: Collection[str]) -> Inventory:
    """Take the roles of some hosts; they can still be entered."""
    roleless = {
        name: replace(host, groups=frozenset({LEAVING})) if name in names else host
        for name, host in inventory.hosts.items()
    }
    groups = {
        group: listed if group == _ALL else tuple(name for name in listed if name not in names)
        for group, listed in _groups(inventory)
    }
    return replace(inventory, hosts=roleless, groups=groups)


def _groups(inventory: Inventory) -> Iterable[tuple[str, tuple[str, ...]]]:
    return inventory.groups.items()


def _lead(inventory: Inventory, names: Collection[str]) -> bool:
    """Whether others have to know of some hosts: they lead to the API, or are etcd."""
    leads = (*inventory.control_planes, *inventory.etcd_members, *inventory.load_balancers)
    return any(host.name in names for host in leads)


def _refuse_empty(before: Inventory, after: Inventory) -> None:
    if not after.control_planes:
        _refuse("no control plane would be left", _RESET)
    for group, what in ((ETCD, "member of etcd"), (LOAD_BALANCERS, "balancer of the API")):
        if before.groups.get(group) and not after.groups.get(group):
            _refuse(f"no {what} would be left in group {group}", _RESET if group == ETCD else "change `endpoint` first")


def _refuse(message: str, remedy: str) -> None:
    raise InputError([Problem(message=message)], remedy=remedy)


def _unknown(inventory: Inventory, name: str) -> Problem:
    hint = suggestion(name, tuple(inventory.hosts))
    return Problem(
        message=f"no host is called {name!r}{hint}", file=str(inventory.source) if inventory.source else None
    )


def _without_role(host: Host) -> Problem:
    message = f"{host.name} is in none of the groups that give a role"
    return Problem(message=message, file=host.file, line=host.line)


def _stranger(name: str) -> Host:
    """Return a host of which nothing is known but its name; it is never entered."""
    return Host(name=name, connection=Connection(address=name))
