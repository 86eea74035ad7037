"""Who takes part in what: the hosts of each play, in their order, and who does what is done once. Asks no host."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from kubeforge.engine.playbook import Order, Play, Playbook, suggestion
from kubeforge.engine.templating import has_template
from kubeforge.errors import InputError, Problem
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS, Inventory
from kubeforge.inventory.patterns import of_facts, select

__all__ = ["Roster", "roster"]

CLUSTER = "cluster"
"""A group that every inventory has: control planes, etcd members and workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who takes part in what.

    Args:
        playbook: the selected plays.
        hosts: for each play its hosts, in inventory order.
        once: name of a play -> who does there what is done once, where that is settled; else its first host.
    """

    playbook: Playbook
    hosts: tuple[tuple[str, ...], ...]
    once: Mapping[str, str] = field(default_factory=dict)

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every host that takes part, in the order of first appearance."""
        return tuple(dict.fromkeys(name for names in self.hosts for name in names))

    def over_limit(
        self, number: int, failed: Collection[str], away: Collection[str] = (), *, batch: Collection[str]
    ) -> bool:
        """Return whether more of a play's hosts have failed than it allows.

        Args:
            number: of the play.
            failed: all hosts that have.
            away: those of them that could not be reached when the run was planned.
            batch: the hosts that are worked on together, for plays that allow so many of each batch.
        """
        play = self.playbook.plays[number]
        hosts = set(batch) if play.each_batch else set(self.hosts[number])
        counted = hosts & (set(failed) - set(away) if play.ignore_unreachable else set(failed))
        is_lost = play.each_batch and bool(hosts) and counted == hosts
        return is_lost or len(counted) > play.max_failures.limit(len(hosts))

    def blocked(self, failed: Collection[str], away: Collection[str] = ()) -> bool:
        """Return whether so many hosts could not be planned that nothing may begin; see `over_limit`."""
        return any(
            self.over_limit(number, failed, away, batch=batch)
            for number, (play, hosts) in enumerate(zip(self.playbook.plays, self.hosts, strict=True))
            for batch in (play.batches(hosts, everyone=hosts) if play.each_batch else [hosts])
        )

    def within(self, names: Collection[str] | None) -> Roster:
        """Return the same with nobody but `names`; None: with everybody.

        Raises:
            InputError: none of them takes part.
        """
        if names is None:
            return self
        left = replace(self, hosts=tuple(tuple(host for host in hosts if host in names) for hosts in self.hosts))
        if not left.everyone:
            raise InputError(
                [Problem(message=f"{self.playbook.name} has nothing for {', '.join(sorted(names)) or 'no host'}")],
                remedy="these are the hosts to go on with: let --limit, --tags and the inventory leave some",
            )
        return left

    def settled(self, failed: Collection[str]) -> Roster:
        """Return the same with who does what is done once: the first host that has not failed, if nobody was before."""
        firsts = {
            play.name: next((name for name in names if name not in failed), names[0])
            for play, names in zip(self.playbook.plays, self.hosts, strict=True)
            if names and play.has_once
        }
        return replace(self, once={**firsts, **self.once})

    def plays_of(self, host: str) -> Iterator[tuple[int, Play]]:
        """Yield the number and the play of each play that `host` takes part in, with what it does there."""
        for number, (play, names) in enumerate(zip(self.playbook.plays, self.hosts, strict=True)):
            if host in names:
                yield number, play.of(first=host == self.once.get(play.name, names[0]))


def roster(
    playbook: Playbook, inventory: Inventory, limit: str | None = None, once: Mapping[str, str] | None = None
) -> Roster:
    """Find the hosts of every play.

    Args:
        playbook: already cut down to the wanted tags.
        inventory: who there is.
        limit: a pattern; only its hosts take part.
        once: see `Roster`; who did it in the run that is gone on with.

    Raises:
        InputError: a pattern names a host or group that is not there; `limit` selects nobody; a play is for nobody,
            limit or not, and the playbook is no shipped one: all that is wrong at once.
    """
    settled = once or {}
    problems: list[Problem] = []
    within = _names(limit, inventory, problems, Problem(message="", field="--limit")) if limit else None
    hosts = []
    for play in playbook.plays:
        place = Problem(message="", file=playbook.file, line=play.hosts_line or play.line)
        meant = _names(play.hosts, inventory, problems, place, may_be_empty=playbook.shipped)
        names = _ordered(meant, play.order)
        if play.run_once:
            names = [name for name in names if name == settled.get(play.name)] or names[:1]
        problems += _strangers(play, inventory, playbook.file)
        hosts.append(tuple(name for name in names if within is None or name in within))
    if problems:
        raise InputError(problems)
    if within is not None and not any(hosts):
        message = f"selects no host of {playbook.name}{suggestion(str(limit), list(inventory.hosts))}"
        raise InputError([Problem(message=message, field="--limit")])
    return Roster(playbook=playbook, hosts=tuple(hosts), once=settled)


def _ordered(names: list[str], order: Order) -> list[str]:
    """Return hosts in the order of their turns."""
    if order == "shuffle":
        return random.sample(names, len(names))
    listed = sorted(names) if order.endswith("sorted") else names
    return listed[::-1] if order.startswith("reverse") else listed


def _strangers(play: Play, inventory: Inventory, file: str | None) -> Iterator[Problem]:
    """Yield hosts that work is delegated to and that are not in the inventory."""
    for call in (*play.tasks, *play.handlers):
        to = call.delegate_to
        if to and to not in inventory.hosts and not has_template(to):
            message = f"the inventory has no host {to}{suggestion(to, list(inventory.hosts))}"
            yield Problem(message=message, file=call.file or file, line=call.line, field="delegate_to")


def _with_roles(inventory: Inventory, *, may_be_empty: bool) -> Inventory:
    """Return the inventory with the groups that a cluster's hosts are in by their roles.

    Args:
        inventory: as loaded.
        may_be_empty: those are there, too, that it has no hosts of.
    """
    roles = {
        CONTROL_PLANE: (),
        WORKERS: (),
        LOAD_BALANCERS: (),
        ETCD: tuple(host.name for host in inventory.etcd_members),
        CLUSTER: tuple(host.name for host in inventory.cluster),
    }
    known = {name: hosts for name, hosts in roles.items() if hosts or may_be_empty}
    return replace(inventory, groups={**known, **inventory.groups})


def _names(
    pattern: str, inventory: Inventory, problems: list[Problem], place: Problem, *, may_be_empty: bool = True
) -> list[str]:
    """Return the hosts of a pattern; what is wrong with it is added to `problems`, at `place`."""
    known = _with_roles(inventory, may_be_empty=may_be_empty)
    try:
        nobody_is_fine = may_be_empty or bool(of_facts(inventory, pattern))
        return [host.name for host in select(known, pattern, may_be_empty=nobody_is_fine)]
    except InputError as error:
        problems += [
            Problem(message=problem.message, file=place.file, line=place.line, field=place.field or "hosts")
            for problem in error.problems
        ]
        return []
