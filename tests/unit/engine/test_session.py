"""Plan and apply over hosts in memory."""

from __future__ import annotations

from typing import Any

from kubeforge.engine.events import ChangeDone

FILES = """
- play: Write
  hosts: all
  tasks: [files.write]
"""


def test_plan_is_what_apply_does(world: Any) -> None:
    with world.session(FILES) as session:
        plan = session.plan()
        assert [(step.host, [change.title for change in step.changes]) for step in plan.steps] == [
            (host, ["file /etc/a", "file /etc/b"]) for host in ("cp1", "w1", "w2")
        ]
        result = session.apply(plan)
    assert result.exit_code == 0
    assert result.remaining == ()
    planned = {(step.host, change.title) for step in plan.steps for change in step.changes}
    assert {(done.host, done.title) for done in result.done} == planned
    assert {(event.host, event.title) for event in world.of(ChangeDone)} == planned
    assert world.closed


def test_second_run_changes_nothing(world: Any) -> None:
    with world.session(FILES) as session:
        session.apply(session.plan())
    for host in world.hosts.values():
        host.calls.clear()
    with world.session(FILES) as session:
        plan = session.plan()
        assert not plan
        assert session.apply(plan).done == ()
    assert [host.calls for host in world.hosts.values()] == [["observe", "observe"]] * 3
