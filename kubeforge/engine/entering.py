"""The inventory as a playbook wants its hosts entered: root by sudo where a play says `become`, and this machine."""

from __future__ import annotations

import os
from dataclasses import replace

from kubeforge.engine.playbook import Playbook
from kubeforge.engine.program import roster
from kubeforge.inventory.model import Connection, Host, Inventory

__all__ = ["LOCALHOST", "entered"]

LOCALHOST = "localhost"
"""As in Ansible: this machine, also where the inventory does not list it."""


def entered(inventory: Inventory, playbook: Playbook) -> Inventory:
    """Return the inventory with what the playbook adds to it; the same one where that is nothing.

    A host is entered in one way during a run: one play with `become` makes root of it for all of them.

    Raises:
        InputError: see `roster`.
    """
    calls = [call for play in playbook.plays for call in (*play.tasks, *play.handlers)]
    hosts = dict(inventory.hosts)
    if LOCALHOST not in hosts and any(call.delegate_to == LOCALHOST for call in calls):
        local = Connection(kind="local", address=LOCALHOST, become=os.geteuid() != 0)
        hosts[LOCALHOST] = Host(name=LOCALHOST, connection=local)
    known = replace(inventory, hosts=hosts) if len(hosts) != len(inventory.hosts) else inventory
    if not any(play.become for play in playbook.plays):
        return known
    who = roster(playbook, known)
    named = {name for play, names in zip(playbook.plays, who.hosts, strict=True) if play.become for name in names}
    for name in named:
        connection = hosts[name].connection
        if not connection.become and connection.user != "root":
            hosts[name] = replace(hosts[name], connection=replace(connection, become=True))
    return replace(known, hosts=hosts)
