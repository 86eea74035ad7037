"""The inventory as a playbook wants its hosts entered: root by sudo where it says `become`, and this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubeforge.engine.arguments import filled
from kubeforge.engine.becoming import raised
from kubeforge.engine.events import Events, Warned
from kubeforge.engine.model import Context
from kubeforge.engine.playbook import Playbook, TaskCall
from kubeforge.engine.program import roster
from kubeforge.engine.vault import OnceVault
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.inventory.patterns import unmade
from kubeforge.transport.base import Remote

__all__ = ["LOCALHOST", "entered", "tell_unmade"]

LOCALHOST = "localhost"
"""As in Ansible: this machine, also where the inventory does not list it."""


def entered(inventory: Inventory, playbook: Playbook, variables: Mapping[str, Any] | None = None) -> Inventory:
    """Return the inventory with what the playbook adds to it; the same one where that is nothing.

    A host is entered in one way during a run: one task that becomes somebody makes root of it for all of them, and
    those that say nothing are then done by who logs in, or by whom the inventory names.

    Args:
        inventory: as loaded.
        playbook: what will be done.
        variables: over those of plays and hosts; a template may name by them who work is delegated to.

    Raises:
        InputError: see `roster`.
    """
    calls = [call for play in playbook.plays for call in (*play.tasks, *play.handlers)]
    hosts = dict(inventory.hosts)
    if LOCALHOST not in hosts and any(call.delegate_to == LOCALHOST for call in calls):
        local = Connection(kind="local", address=LOCALHOST, become=os.geteuid() != 0)
        hosts[LOCALHOST] = Host(name=LOCALHOST, connection=local)
    known = replace(inventory, hosts=hosts) if len(hosts) != len(inventory.hosts) else inventory
    if all(call.become is None for call in calls):
        return known
    for name, wanted in _wanted(known, playbook, variables or {}).items():
        if name in hosts:
            hosts[name] = replace(hosts[name], connection=raised(hosts[name].connection, wanted))
    return replace(known, hosts=hosts)


def _wanted(inventory: Inventory, playbook: Playbook, variables: Mapping[str, Any]) -> dict[str, list[TaskCall]]:
    """Return the calls that say something of `become`, by the hosts they are done on."""
    wanted: dict[str, list[TaskCall]] = {}
    who = roster(playbook, inventory)
    for play, names in zip(playbook.plays, who.hosts, strict=True):
        for call in (*play.tasks, *play.handlers):
            if call.become is not None:
                given = {**play.vars, **call.vars, **variables}
                for name in dict.fromkeys(_doer(call, inventory.hosts[name], inventory, given) for name in names):
                    wanted.setdefault(name, []).append(call)
    return wanted


def _doer(call: TaskCall, host: Host, inventory: Inventory, variables: Mapping[str, Any]) -> str:
    """Return the host that a call is done on in a host's turn; that one itself where only facts could tell."""
    if call.delegate_to is None:
        return host.name
    vault = OnceVault(_nobody)
    context = Context(host=host, inventory=inventory, facts={}, seen={}, vault=vault, vars=variables)
    try:
        return str(filled({"to": call.delegate_to}, context)["to"])
    except KubeforgeError:
        return host.name  # what is wrong with it is told, with its place, when the task is asked


def _nobody(host: str) -> Remote:
    raise KubeforgeError("no host is asked for an inventory", host=host)


def tell_unmade(inventory: Inventory, playbook: Playbook, events: Events) -> None:
    """Warn of plays for groups that facts may make, and have made of nobody."""
    for play in playbook.plays:
        for group in unmade(inventory, play.hosts):
            events.emit(Warned(host=None, message=f"{play.name}: no host is in {group}, a group that facts make"))
