from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kubeforge.inventory.model import CONTROL_PLANE, WORKERS, Connection, Host, Inventory
from kubeforge.spec.loader import Examined, examine

MakeInventory = Callable[..., Inventory]
Examine = Callable[..., Examined]

LEAST = "name: demo\nkubernetes: 1.36.3\n"


def host(name: str, address: str, *groups: str, line: int = 1, **variables: object) -> Host:
    return Host(
        name=name,
        connection=Connection(address=address),
        groups=frozenset(groups),
        vars=variables,
        file="hosts.yml",
        line=line,
    )


def inventory(hosts: Sequence[Host]) -> Inventory:
    groups = {"all": tuple(found.name for found in hosts)}
    for name in dict.fromkeys(group for found in hosts for group in sorted(found.groups)):
        groups[name] = tuple(found.name for found in hosts if name in found.groups)
    return Inventory(hosts={found.name: found for found in hosts}, groups=groups, source=Path("inv"))


def usual(control_planes: int = 1, workers: int = 1) -> Inventory:
    """Hosts cp1, cp2, … at 192.0.2.11 and on, w1, … at 192.0.2.101 and on; each on its own line."""
    planes = [host(f"cp{n}", f"192.0.2.{10 + n}", CONTROL_PLANE, line=n) for n in range(1, control_planes + 1)]
    nodes = [host(f"w{n}", f"192.0.2.{100 + n}", WORKERS, line=100 + n) for n in range(1, workers + 1)]
    return inventory([*planes, *nodes])


@pytest.fixture
def make_inventory() -> Callable[[Sequence[Host]], Inventory]:
    return inventory


@pytest.fixture
def make_host() -> Callable[..., Host]:
    return host


@pytest.fixture
def usual_inventory() -> Callable[..., Inventory]:
    return usual


@pytest.fixture
def look(tmp_path: Path) -> Examine:
    """Examine a cluster.yml: `look(text, inventory)`; lines are added to the least that is needed."""

    def run(text: str, hosts: Inventory | None = None, *, whole: bool = False) -> Examined:
        file = tmp_path / "cluster.yml"
        file.write_text(text if whole else LEAST + text, encoding="utf-8")
        return examine(tmp_path, hosts or usual())

    return run
