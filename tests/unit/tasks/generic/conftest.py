"""Generic tasks over a host in memory: asked alone, or carried out by a whole session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.engine.memory import ordinary_facts
from kubeforge.engine.model import Action, Context, Facts, Task
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.run import Session
from kubeforge.engine.vault import OnceVault
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.model import Observation, Operation, Queries
from kubeforge.transport.base import ByteSocket, Remote
from kubeforge.transport.memory import MemoryHost

FACTS = ordinary_facts("web1")
FAMILIES = {
    "debian": frozenset({"debian"}),
    "rhel": frozenset({"rocky", "rhel", "fedora"}),
    "suse": frozenset({"suse"}),
}


@dataclass
class Site:
    """One host in memory, with all tasks there are."""

    host: MemoryHost
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    family: str = "debian"
    registry: Mapping[str, Task] = field(default_factory=tasks.load)

    @property
    def facts(self) -> Facts:
        return replace(FACTS, os_like=FAMILIES[self.family], os_id=self.family)

    @property
    def inventory(self) -> Inventory:
        host = Host(name="web1", connection=Connection(address="192.0.2.1"), vars=self.variables)
        return Inventory(hosts={"web1": host}, groups={"all": ("web1",)})

    def ask(self, name: str, /, **arguments: Any) -> list[Any]:
        """Return what a task gives."""
        task, inventory = self.registry[name], self.inventory
        host = inventory.hosts["web1"]
        reads = task.reads(inventory, host) if task.reads else Queries()
        context = Context(
            host=host,
            inventory=inventory,
            facts={"web1": self.facts},
            seen={"web1": self.host.observe(reads)},
            vault=OnceVault(lambda _: self.host),
            folder=self.folder,
        )
        items: list[Operation | Action] = list(task.function(context, **arguments))
        return items

    def remote(self, host: str) -> Remote:
        return self.host

    def open_stream(self, host: str, command: str) -> ByteSocket:
        raise NotImplementedError

    def release(self, host: str) -> None: ...

    def close(self) -> None: ...

    def reader(self, remote: Remote, reads: Queries, waits: Callable[[str], None]) -> tuple[Facts, Observation]:
        return self.facts, remote.observe(reads)

    def session(self, text: str) -> Session:
        book = parse(text, self.registry, file=str(self.folder / "site.yml"))
        return Session(
            inventory=self.inventory,
            playbook=book,
            registry=self.registry,
            remotes=self,
            reader=self.reader,
            exclusive=False,
            record=False,
        )

    def run(self, text: str, *, diff: bool = False) -> Plan:
        """Plan, apply, and see that nothing is left to do."""
        with self.session(text) as session:
            plan = session.plan(diff=diff)
            assert plan.failures == ()
            result = session.apply(plan)
            assert result.failures == ()
            assert session.plan().steps == (), "a second run changes nothing"
        return plan

    def fails(self, text: str) -> str:
        """Plan, and return why the host failed."""
        with self.session(text) as session:
            (failure,) = session.plan().failures
        return failure.cause + "\n" + "\n".join(failure.evidence)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(host=MemoryHost("web1"), folder=tmp_path)


@pytest.fixture
def titles() -> Callable[[Sequence[Any]], list[str]]:
    return lambda items: [item.title for item in items]
