"""Hosts in memory, and playbooks run over them from end to end: planned, applied, planned again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kubeforge import tasks as shipped
from kubeforge.engine.memory import MemoryRemotes, ordinary_facts
from kubeforge.engine.model import Facts, Task, TaskFunction
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.result import RunResult
from kubeforge.engine.run import Session
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.tasks.registry import TASK_ATTRIBUTE
from kubeforge.transport.memory import MemoryHost

__all__ = ["MemorySite", "ordinary_facts"]


class MemorySite:
    """Hosts in memory with an inventory around them.

    Args:
        hosts: everybody.
        groups: group -> names of its hosts; `all` is there by itself.
        variables: of every host.
        facts: host -> what it is; others are ordinary Debian hosts.
        tasks: functions of your own, marked by `@task`; all that are shipped are there besides.

    Attributes:
        inventory: what the playbooks run over.
        registry: all tasks, by name.
    """

    def __init__(
        self,
        *hosts: MemoryHost,
        groups: Mapping[str, Iterable[str]] | None = None,
        variables: Mapping[str, Any] | None = None,
        facts: Mapping[str, Facts] | None = None,
        tasks: Iterable[TaskFunction] = (),
    ) -> None:
        known = {host.host: host for host in hosts}
        self._remotes = MemoryRemotes(known, facts)
        self.inventory = _inventory(known, groups or {}, variables or {})
        self.registry: dict[str, Task] = {**shipped.load(), **{mark.name: mark for mark in map(_mark, tasks)}}

    def session(self, playbook: str | Path) -> Session:
        """Return a session over these hosts, without lock and journal; use it with `with`.

        Args:
            playbook: YAML, or the path of a file with it.

        Raises:
            InputError: the playbook has problems.
        """
        file = playbook if isinstance(playbook, Path) else None
        text = file.read_text() if file else str(playbook)
        book = parse(text, self.registry, file=str(file or "playbook.yml"))
        return Session(
            inventory=self.inventory,
            playbook=book,
            registry=self.registry,
            remotes=self._remotes,
            reader=self._remotes.read,
            exclusive=False,
            record=False,
        )

    def plan(self, playbook: str | Path, *, diff: bool = False) -> Plan:
        """Return what would be done; failures are in it.

        Args:
            playbook: as in `session`.
            diff: with what changes inside of files.

        Raises:
            InputError: the playbook has problems.
        """
        with self.session(playbook) as session:
            return session.plan(diff=diff)

    def apply(self, playbook: str | Path) -> RunResult:
        """Plan, carry the plan out, and return what it came to; failures are in it.

        Raises:
            InputError: the playbook has problems.
        """
        with self.session(playbook) as session:
            return session.apply(session.plan())

    def converge(self, playbook: str | Path) -> Plan:
        """Apply without a failure, and see that a second run has nothing to do.

        Returns:
            What the first run did.

        Raises:
            InputError: the playbook has problems.
            AssertionError: a host failed, or the second run would change something; the message tells what.
        """
        with self.session(playbook) as session:
            plan = session.plan()
            assert not plan.failures, f"could not be planned: {plan.failures}"
            result = session.apply(plan)
            assert not result.failures, f"failed: {result.failures}"
            left = [f"{step.host}: {change.title}" for step in session.plan().steps for change in step.changes]
            assert not left, f"a second run would change: {', '.join(left)}"
        return plan


def _mark(function: TaskFunction) -> Task:
    mark = getattr(function, TASK_ATTRIBUTE, None)
    assert isinstance(mark, Task), f"{function} is no task: mark it by @task"
    return mark


def _inventory(
    hosts: Mapping[str, MemoryHost], groups: Mapping[str, Iterable[str]], variables: Mapping[str, Any]
) -> Inventory:
    listed = {group: tuple(names) for group, names in groups.items()}
    unknown = sorted({name for names in listed.values() for name in names} - set(hosts))
    assert not unknown, f"groups name hosts that are not there: {', '.join(unknown)}"
    made = {
        name: Host(
            name=name,
            connection=Connection(address=f"192.0.2.{number}"),
            groups=frozenset(group for group, names in listed.items() if name in names),
            vars=variables,
        )
        for number, name in enumerate(hosts, start=11)
    }
    return Inventory(hosts=made, groups={"all": tuple(hosts), **listed})
