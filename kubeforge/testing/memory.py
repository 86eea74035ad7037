"""Hosts in memory, and playbooks run over them from end to end: planned, applied, planned again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kubeforge import tasks as shipped
from kubeforge.engine.model import Facts, Task, TaskFunction
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.result import RunResult
from kubeforge.engine.run import Session
from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.model import Observation, Queries
from kubeforge.tasks.registry import TASK_ATTRIBUTE
from kubeforge.transport.base import ByteSocket, Remote
from kubeforge.transport.memory import MemoryHost

__all__ = ["MemorySite", "ordinary_facts"]


def ordinary_facts(name: str, **changes: Any) -> Facts:
    """Return facts of an ordinary Debian 12 host.

    Args:
        name: its host name.
        changes: facts that shall be others: `os_like=frozenset({"rhel"})`.
    """
    gib = 2**30
    values: dict[str, Any] = {
        "hostname": name,
        "os_id": "debian",
        "os_like": frozenset({"debian"}),
        "os_version": "12",
        "os_name": "Debian GNU/Linux 12 (bookworm)",
        "arch": "amd64",
        "kernel": "6.1.0-30-amd64",
        "cpus": 2,
        "memory": 4 * gib,
        "disks": {"/": (20 * gib, 40 * gib)},
        "clock_skew": 0.0,
        "cgroup": 2,
        "systemd": True,
        "selinux": "disabled",
        "swap": (),
        "addresses": {"eth0": ("192.0.2.11/24",)},
        "listening": {},
        "capabilities": (1 << 41) - 1,
        "resolv_conf": "/etc/resolv.conf",
    }
    return Facts(**{**values, **changes})


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
        self._hosts = {host.host: host for host in hosts}
        self._facts = {name: ordinary_facts(name) for name in self._hosts} | dict(facts or {})
        self.inventory = _inventory(self._hosts, groups or {}, variables or {})
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
            remotes=_MemoryRemotes(self._hosts),
            reader=self._read,
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

    def _read(self, remote: Remote, reads: Queries, waits: Callable[[str], None]) -> tuple[Facts, Observation]:  # noqa: ARG002 - part of the protocol
        return self._facts[remote.host], remote.observe(reads)


class _MemoryRemotes:
    """Where a session gets these hosts from."""

    def __init__(self, hosts: Mapping[str, MemoryHost]) -> None:
        self._hosts = hosts

    def remote(self, host: str) -> Remote:
        return self._hosts[host]

    def open_stream(self, host: str, command: str) -> ByteSocket:
        raise ConnectionFailed("a host in memory runs no commands with a stream", host=host, step=command)

    def release(self, host: str) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


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
