"""What is known of hosts before any task is asked: facts, and what the tasks' `reads` name. Had once per host.

Hosts of the run are gathered beforehand, in parallel; any other host of the inventory is asked when a task looks at it,
so that `--limit` to one host of a thousand asks one host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from kubeforge.engine.model import Facts
from kubeforge.engine.vault import OnceVault
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Observation, Queries
from kubeforge.transport.base import Remote

__all__ = ["FactsReader", "Gathered", "Gathering"]

T = TypeVar("T")

FactsReader = Callable[[Remote, Queries, Callable[[str], None]], tuple[Facts, Observation]]
"""See facts.gather."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """What one host answered.

    Args:
        facts: what it is.
        seen: answers to the tasks' reads.
        seconds: how long it took, connection included.
    """

    facts: Facts
    seen: Observation = field(default_factory=Observation)
    seconds: float = 0.0


class Gathered:
    """Facts and reads of every host of the inventory, each asked at most once.

    Args:
        inventory: whose hosts may be asked.
        remote_of: host name -> Remote.
        reads: what to see on a host beforehand.
        reader: asks one host.
        waits: told host and what goes on there, as long as it cannot be asked.
    """

    def __init__(
        self,
        inventory: Inventory,
        remote_of: Callable[[str], Remote],
        reads: Callable[[Host], Queries],
        reader: FactsReader,
        waits: Callable[[str, str], None],
    ) -> None:
        self._inventory = inventory
        self._remote_of = remote_of
        self._reads = reads
        self._reader = reader
        self._waits = waits
        self._once = OnceVault(remote_of)
        self._answers: dict[str, Gathering] = {}

    def of(self, name: str) -> Gathering:
        """Return what is known of a host, asking it the first time.

        Raises:
            KeyError: the inventory has no such host.
            ConnectionFailed: it cannot be asked; raised again for everyone who looks at it.
        """
        host = self._inventory.hosts[name]
        return self._once.once(name, lambda: self._ask(host))

    def _ask(self, host: Host) -> Gathering:
        began = time.monotonic()
        waits = partial(self._waits, host.name)
        facts, seen = self._reader(self._remote_of(host.name), self._reads(host), waits)
        answer = Gathering(facts=facts, seen=seen, seconds=time.monotonic() - began)
        self._answers[host.name] = answer
        return answer

    def known(self, name: str) -> Gathering | None:
        """Return what a host has answered; None where nobody asked it, or it did not answer."""
        return self._answers.get(name)

    @property
    def facts(self) -> Mapping[str, Facts]:
        """Host -> facts; looking at a host asks it."""
        return _View(self._inventory, lambda name: self.of(name).facts)

    @property
    def seen(self) -> Mapping[str, Observation]:
        """Host -> answers to reads; looking at a host asks it."""
        return _View(self._inventory, lambda name: self.of(name).seen)


class _View(Mapping[str, T]):
    """A mapping over all hosts of an inventory whose values are had on demand."""

    def __init__(self, inventory: Inventory, value: Callable[[str], T]) -> None:
        self._hosts = inventory.hosts
        self._value = value

    def __getitem__(self, name: str) -> T:
        if name not in self._hosts:
            raise KeyError(name)
        return self._value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)
