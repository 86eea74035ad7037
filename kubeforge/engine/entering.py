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
from kubeforge.engine.roster import roster
from kubeforge.engine.vault import OnceVault
from kubeforge.errors import InputError, KubeforgeError
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.inventory.patterns import depends_on_facts, of_facts, unmade
from kubeforge.transport.base import Remote

__all__ = ["LOCALHOST", "entered", "refuse_nobody", "tell_unmade"]

LOCALHOST = "localhost"
"""As in Ansible: this machine, also where the inventory does not list it."""


def entered(inventory: Inventory, playbook: Playbook, variables: Mapping[str, Any] | None = None) -> Inventory:
    """Return the inventory with what the playbook adds to it; the same one where that is nothing.

    A host is entered in one way during a run: one task that becomes somebody makes root of it for all of them, and
    those that say nothing are then done by who logs in, or by whom the inventory names.

    Args:
        inventory: as loaded.
        playbook: what will be done, already cut down to the wanted tags.
        variables: over those of plays and hosts; a template may name by them who work is delegated to.

    Raises:
        InputError: see `roster`.
    """
    known = _with_this_machine(inventory, playbook)
    if all(call.become is None for call in _calls(playbook)):
        return known
    hosts = dict(known.hosts)
    for name, wanted in _wanted(known, playbook, variables or {}).items():
        if name in hosts:
            hosts[name] = replace(hosts[name], connection=raised(hosts[name].connection, wanted))
    return replace(known, hosts=hosts)


def _calls(playbook: Playbook) -> list[TaskCall]:
    return [call for play in playbook.plays for call in (*play.tasks, *play.handlers)]


def _with_this_machine(inventory: Inventory, playbook: Playbook) -> Inventory:
    if LOCALHOST in inventory.hosts or all(call.delegate_to != LOCALHOST for call in _calls(playbook)):
        return inventory
    local = Connection(kind="local", address=LOCALHOST, become=os.geteuid() != 0)
    return replace(inventory, hosts={**inventory.hosts, LOCALHOST: Host(name=LOCALHOST, connection=local)})


def refuse_nobody(inventory: Inventory, playbook: Playbook, limit: str | None = None) -> None:
    """Judge for whom the plays are, before anybody is asked for anything; not those that facts will tell of.

    Args:
        inventory: as loaded.
        playbook: already cut down to the wanted tags.
        limit: a pattern; only its hosts take part.

    Raises:
        InputError: see `roster`.
    """
    plays = tuple(play for play in playbook.plays if not _is_open(inventory, play.hosts))
    known = _with_this_machine(inventory, playbook)
    roster(replace(playbook, plays=plays), known, None if inventory.wants_facts else limit)


def _is_open(inventory: Inventory, pattern: str) -> bool:
    try:
        return depends_on_facts(inventory, pattern)
    except InputError:
        return False  # what is wrong with it is told with its place


def _wanted(inventory: Inventory, playbook: Playbook, variables: Mapping[str, Any]) -> dict[str, list[TaskCall]]:
    """Return the calls that say something of `become`, by the hosts they are done on."""
    wanted: dict[str, list[TaskCall]] = {}
    plays = tuple(replace(play, run_once=False) for play in playbook.plays)  # who the one is, is settled later
    who = roster(replace(playbook, plays=plays), inventory)
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
    """Warn of plays for groups that facts may make, and that are for nobody by that."""
    for play, hosts in zip(playbook.plays, roster(playbook, inventory).hosts, strict=True):
        groups = unmade(inventory, play.hosts)
        for group in groups:
            events.emit(Warned(host=None, message=f"{play.name}: no host is in {group}, a group that facts make"))
        if not (hosts or groups) and of_facts(inventory, play.hosts):
            events.emit(Warned(host=None, message=f"{play.name}: no host is left in {play.hosts!r}, by facts"))
