"""Plan and apply over hosts in memory."""

from __future__ import annotations

import json
from typing import Any

from kubeforge.engine.events import ActionSaid, ChangeDone
from kubeforge.engine.plan import Plan, PlannedRemark, PlannedSaying
from kubeforge.operations.command import Command

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


def test_what_an_action_says_and_warns_of_is_in_the_plan_and_is_no_change(world: Any, wait: Any) -> None:
    def stray(run: Any) -> bool:
        run.say("looked")
        run.remark("node w9 is nobody's", kind="node", name="w9")
        return False

    world.task("look", lambda _: [wait("looks", world.journal, needed=stray)])
    with world.session("- {play: Look, hosts: cp1, tasks: [look]}") as session:
        plan = session.plan()
    details = {"kind": "node", "name": "w9"}
    assert plan.remarks == (PlannedRemark(host="cp1", task="look", text="node w9 is nobody's", details=details),)
    assert plan.said == (PlannedSaying(host="cp1", step="looks", text="looked"),)
    assert not plan
    stored = json.loads(json.dumps(plan.to_data()))
    assert stored["remarks"] == [{"host": "cp1", "task": "look", "text": "node w9 is nobody's", "details": details}]
    assert Plan.from_data(stored) == plan
    assert [event.message for event in world.of(ActionSaid)] == ["looked", "warning: node w9 is nobody's"]


def test_what_an_earlier_play_did_is_not_taken_for_what_a_later_one_has_left(world: Any) -> None:
    world.task("run.it", lambda _, name: [Command(argv=(name,))])
    world.hosts["cp1"].fail["command b"] = 1
    calls = [{"run.it": {"name": name}} for name in "aba"]
    plays = [
        {"play": "First", "hosts": "cp1", "tasks": calls[:1]},
        {"play": "Second", "hosts": "cp1", "tasks": calls[1:]},
    ]
    with world.session(json.dumps(plays)) as session:
        result = session.apply(session.plan())
    assert [(left.play, left.titles) for left in result.remaining] == [("Second", ("command b", "command a"))]


def test_a_file_that_is_written_twice_is_written_twice(world: Any) -> None:
    calls = [{"files.write": {"paths": ["/etc/a"], "content": content}} for content in ("first", "second")]
    with world.session(json.dumps([{"play": "A", "hosts": "cp1", "tasks": calls}])) as session:
        plan = session.plan()
        assert plan.changes == 2
        assert session.apply(plan).exit_code == 0
    assert world.hosts["cp1"].file("/etc/a") == b"second"
