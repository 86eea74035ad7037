"""Every generic task is tried on a real host, or it is said why not."""

from __future__ import annotations

from kubeforge import tasks
from kubeforge.engine.playbook_loader import parse
from tests.integration.generic.cases import CASES, EVERY_RUN, QUIET, UNTRIED


def tried() -> set[str]:
    """Return the names of all tasks that the cases call."""
    registry, names = tasks.load(), set()
    for calls in CASES.values():
        rows = "".join(f"    {row}\n" for row in calls.strip().splitlines())
        (play,) = parse(f"- play: It\n  hosts: all\n  tasks:\n{rows}", registry).plays
        names |= {call.name for call in play.tasks}
    return names


def test_every_generic_task_is_tried() -> None:
    generic = {name for name, task in tasks.load().items() if ".tasks.generic." in task.function.__module__}
    assert len(generic) > 40
    assert tried() | UNTRIED.keys() == generic
    assert tried().isdisjoint(UNTRIED)
    assert CASES.keys() >= QUIET | EVERY_RUN
