"""The parts are resolved once, when the hosts' architectures are known."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kubeforge.artifacts.model import Resolved

FILES = """
- play: Write
  hosts: all
  tasks: [files.write]
"""


def test_supplier_gets_the_architectures_once(world: Any) -> None:
    asked: list[list[str]] = []

    def supply(arches: Collection[str]) -> Resolved:
        asked.append(list(arches))
        return Resolved(files={}, source="test")

    with world.session(FILES, artifacts=supply) as session:
        session.plan()
        session.plan()
        assert session.artifacts is not None
    assert asked == [["amd64"]]


def test_no_parts_where_no_host_answers(world: Any) -> None:
    for host in world.hosts.values():
        host.unreachable = True
    with world.session(FILES, artifacts=lambda _: 1 / 0) as session:
        plan = session.plan()
    assert plan.exit_code == 11
