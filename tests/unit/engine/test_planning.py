"""The plan is true, and apply does it or nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from kubeforge.engine.events import Warned
from kubeforge.engine.model import Context
from kubeforge.engine.notes import settling_command
from kubeforge.engine.plan import Plan
from kubeforge.errors import ChangedUnderneath
from kubeforge.operations.absent import Absent
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Diff, Entry, Observation, Queries, Verb
from kubeforge.operations.unit import Unit
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING
from kubeforge.transport.protocol.note import Interruption

LAYERS = """
- {play: Prepare, hosts: cp1, tasks: [prepare]}
- {play: Configure, hosts: cp1, tasks: [configure]}
- {play: Start, hosts: cp1, tasks: [start]}
"""


def layered(world: Any, content: bytes = b"one") -> None:
    """A directory, a file in it, and a unit that listens to the file: each in a play of its own."""
    world.task("prepare", lambda _: [Directory(path="/etc/app")])
    world.task("configure", lambda _: [File(path="/etc/app/conf", content=content)])
    world.task("start", lambda _: [Unit(name="app.service", listens=("file /etc/app/conf",))])


def titles(plan: Plan) -> list[tuple[str, str, str]]:
    return [(step.play, str(change.verb), change.title) for step in plan.steps for change in step.changes]


def done(result: Any) -> list[tuple[str, str, str]]:
    return [(each.host, each.verb, each.title) for each in result.done]


def test_decisions_fold_across_plays(world: Any) -> None:
    layered(world)
    world.hosts["cp1"].overlay(Observation(units={"app.service": RUNNING}))
    with world.session(LAYERS) as session:
        plan = session.plan()
        assert titles(plan) == [
            ("Prepare", "create", "directory /etc/app"),
            ("Configure", "create", "file /etc/app/conf"),
            ("Start", "restart", "unit app.service"),
        ]
        result = session.apply(plan)
    assert done(result) == [("cp1", verb, title) for _, verb, title in titles(plan)]


def test_a_plan_asks_each_host_twice_and_an_apply_observes_before_each_act(world: Any) -> None:
    layered(world)
    with world.session(LAYERS) as session:
        plan = session.plan()
        assert world.hosts["cp1"].calls == ["observe", "observe"]
        session.apply(plan)
    assert world.hosts["cp1"].calls[2:] == ["observe", "act"] * 3


def test_operations_of_several_tasks_are_one_batch(world: Any) -> None:
    layered(world)
    with world.session("- {play: All, hosts: cp1, tasks: [prepare, configure, start]}") as session:
        plan = session.plan()
        (step,) = plan.steps
        assert step.step == "prepare, configure, start"
        assert [change.task for change in step.changes] == ["prepare", "configure", "start"]
        session.apply(plan)
    assert world.hosts["cp1"].calls[2:] == ["observe", "act"]


def test_what_follows_something_open_ended_is_looked_at_again(world: Any) -> None:
    """Commands in a row are one batch; the directory that the last one brings is not made once more."""
    commands = [Command(name=name, argv=("install", name), creates=f"/{name}") for name in ("a", "b")]
    world.task("install", lambda _: commands)
    world.task("configure", lambda _: [Directory(path="/etc/app")])

    def brings() -> None:
        if world.hosts["cp1"].calls.count("act") == 1:
            world.hosts["cp1"].overlay(Observation(paths={"/etc/app": Entry(mode=0o40755)}))

    with world.session("- {play: All, hosts: cp1, tasks: [install, configure]}") as session:
        plan = session.plan()
        assert [step.step for step in plan.steps] == ["install", "configure"]
        world.hosts["cp1"].before_act = brings
        result = session.apply(plan)
    assert not result.failures
    assert [each.title for each in result.done] == ["command a", "command b"]


def test_actions_see_what_is_expected_and_whether_anything_is_pending(world: Any, wait: Any) -> None:
    layered(world)
    seen: list[tuple[bool, bool]] = []

    def needed(run: Any) -> bool:
        seen.append((run.pending, "directory /etc/app" in run.expected.changed))
        return bool(run.pending)

    world.task("ready", lambda _: [wait("app.ready", world.journal, needed=needed)])
    text = "- {play: Early, hosts: cp1, tasks: [ready]}" + LAYERS + "- {play: Late, hosts: all, tasks: [ready]}"
    with world.session(text) as session:
        plan = session.plan()
        assert seen[0] == (False, False)
        assert sorted(seen[1:]) == [(True, False), (True, False), (True, True)]
        session.apply(plan)
    assert sorted(world.journal) == ["cp1 app.ready", "w1 app.ready", "w2 app.ready"]
    seen.clear()
    with world.session(text) as session:
        assert not session.plan()
    assert not any(pending for pending, _ in seen)


def test_a_file_changed_by_hand_between_plan_and_apply(world: Any) -> None:
    with world.session("- {play: Write, hosts: all, tasks: [files.write]}") as session:
        plan = session.plan()
        world.hosts["w1"].put("/etc/a", b"by hand")
        result = session.apply(plan)
    assert world.hosts["w1"].acted == []
    assert world.hosts["w1"].file("/etc/a") == b"by hand"
    (failure,) = result.failures
    assert failure.error == "ChangedUnderneath"
    assert failure.evidence == ("/etc/a: 0644 root:root; the plan saw: is missing",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b"old", b"by hand", "/etc/a: has other content than the plan saw"),
        (b"old", b"x", "file /etc/a: planned, and no longer needed"),
        (b"x", b"by hand", "file /etc/a: other content, and not in the plan"),
    ],
)
def test_differences_are_named(world: Any, before: bytes, after: bytes, told: str) -> None:
    host = world.hosts["cp1"]
    host.put("/etc/a", before)
    host.put("/etc/b", b"old")
    with world.session("- {play: Write, hosts: cp1, tasks: [files.write]}") as session:
        plan = session.plan()
        host.put("/etc/a", after)
        result = session.apply(plan)
    assert host.acted == []
    assert any(line.startswith(told) for line in result.failures[0].evidence), result.failures[0].evidence


def test_changed_between_observe_and_act_is_found_by_the_host(world: Any) -> None:
    host = world.hosts["cp1"]
    host.before_act = lambda: host.put("/etc/a", b"by hand")
    with world.session("- {play: Write, hosts: cp1, tasks: [files.write]}") as session:
        result = session.apply(session.plan())
    assert [failure.error for failure in result.failures] == ["ChangedUnderneath"]
    assert host.acted == []


def test_what_an_own_step_did_more_than_foretold_is_no_difference(world: Any, wait: Any) -> None:
    """An action brings a directory and starts the unit: what was planned and is done already is left out."""
    layered(world)

    def needed(run: Any) -> bool:
        return run.expected.paths.get("/etc/app") is None

    def body(run: Any) -> None:
        world.hosts["cp1"].overlay(Observation(paths={"/etc/app": Entry(mode=0o40755)}))

    world.task("install", lambda _: [wait("install", world.journal, needed=needed, body=body)])

    with world.session("- {play: Install, hosts: cp1, tasks: [install]}" + LAYERS) as session:
        plan = session.plan()
        result = session.apply(plan)
    assert not result.failures
    planned = {change.title for step in plan.steps for change in step.changes}
    assert planned - {each.title for each in result.done} == {"directory /etc/app"}
    assert result.remaining == ()


def test_a_plan_from_elsewhere_is_made_anew(world: Any) -> None:
    text = "- {play: Write, hosts: all, tasks: [files.write]}"
    with world.session(text) as session:
        stored = Plan.from_data(json.loads(json.dumps(session.plan().to_data())))
    with world.session(text) as session:
        assert session.apply(stored).exit_code == 0
    with world.session(text) as session, pytest.raises(ChangedUnderneath):
        session.apply(stored)


def test_the_note_of_a_cut_off_run_is_told_and_its_restart_made_good(world: Any) -> None:
    """Listened to is a directory here: of files the unit itself sees that they are younger than it."""
    layered(world)
    world.task("start", lambda _: [Unit(name="app.service", listens=("directory /etc/app",))])
    host = world.hosts["cp1"]
    host.overlay(Observation(units={"app.service": RUNNING}))
    one_play = "- {play: All, hosts: cp1, tasks: [prepare, configure, start]}"
    host.reboot_at = 2
    with world.session(one_play) as session:
        first = session.apply(session.plan())
    assert first.failures[0].error == "ConnectionLost"
    with world.session(one_play) as session:
        plan = session.plan()
        assert titles(plan) == [("All", "restart", "unit app.service")]
        session.apply(plan)
    (warning,) = world.of(Warned)
    assert "was cut off: 2 of 3 changes were made, and unit app.service had begun" in warning.message
    with world.session(one_play) as session:
        assert not session.plan()


def test_a_note_with_nothing_left_to_do_is_settled(world: Any) -> None:
    host = world.hosts["cp1"]
    left = Interruption(run_id="old", done=(), doubtful="x", failed=None, pending=(), changed=frozenset({"x"}))
    host.put(paths.RUN_NOTE, b"begin old 1\ntitle 0 x\nstart 0\n")

    def end(_: bytes) -> Completed:
        host.put(paths.RUN_NOTE, host.file(paths.RUN_NOTE) + b"end\n")
        return Completed(0)

    host.commands[settling_command(left)] = end
    world.task("nothing", lambda _: [Directory(path="/etc")])
    for _ in range(2):
        with world.session("- {play: A, hosts: cp1, tasks: [nothing]}") as session:
            session.apply(session.plan())
    assert len(world.of(Warned)) == 1


def test_an_unreadable_path_is_that_hosts_failure(world: Any) -> None:
    world.hosts["w1"].overlay(Observation(paths={"/etc/a": Entry(mode=0o40755)}))
    with world.session("- {play: Write, hosts: all, tasks: [files.write]}") as session:
        plan = session.plan()
    assert [(failure.host, failure.error) for failure in plan.failures] == [("w1", "Unreadable")]
    assert {step.host for step in plan.steps} == {"cp1", "w2"}


def test_a_failed_host_leaves_the_whole_plan(world: Any, wait: Any) -> None:
    def refuse(run: Any) -> bool:
        raise ChangedUnderneath("the API is gone")

    world.task("late", lambda _: [wait("late", world.journal, needed=refuse)])
    text = "- {play: Write, hosts: all, tasks: [files.write]}\n- {play: Late, hosts: w1, tasks: [late]}"
    with world.session(text) as session:
        plan = session.plan()
    assert {step.host for step in plan.steps} == {"cp1", "w2"}
    assert [(failure.host, failure.step) for failure in plan.failures] == [("w1", "late")]


def test_facts_of_others_are_had_on_demand(world: Any) -> None:
    def names(context: Context) -> Any:
        yield File(path="/etc/peers", content=context.facts["cp1"].hostname.encode())

    world.task("names", names)
    with world.session("- {play: A, hosts: all, tasks: [names]}", limit="w1") as session:
        assert len(session.plan().steps) == 1
    assert world.hosts["cp1"].calls == ["observe"]
    assert world.hosts["w2"].calls == []


def test_a_play_may_do_without_facts(world: Any) -> None:
    with world.session("- {play: A, hosts: w1, facts: false, tasks: [files.write]}") as session:
        session.plan()
    assert world.hosts["w1"].calls == ["observe"]


def test_a_host_as_wanted_is_let_go_at_once(world: Any, wait: Any) -> None:
    world.task("wait", lambda _: [wait("w2 waits")])
    for name in ("w1", "w2"):
        world.hosts[name].put("/etc/a", b"x")
        world.hosts[name].put("/etc/b", b"x")
    plays = "[{play: A, hosts: all, tasks: [files.write]}, {play: B, hosts: w2, tasks: [wait]}]"
    with world.session(plays) as session:
        plan = session.plan()
    assert world.released == ["w1"]
    assert {step.host for step in plan.steps} == {"cp1"}


def test_a_host_that_others_look_at_is_not_let_go(world: Any) -> None:
    def copied(context: Context) -> Any:
        context.vault.fetch("w2", "/etc/a")
        yield File(path="/etc/a", content=b"x")

    world.task("copied", copied)
    for name in ("cp1", "w1", "w2"):
        world.hosts[name].put("/etc/a", b"x")
    with world.session("- {play: A, hosts: all, tasks: [copied]}", forks=1) as session:
        assert session.plan().steps == ()
    assert world.released == ["cp1", "w1"]


def test_reads_are_seen_by_every_task(world: Any) -> None:
    def copy(context: Context) -> Any:
        yield File(path="/etc/copy", content=context.seen["cp1"].contents["/etc/motd"])

    world.task("copy", copy, reads=lambda _, host: Queries(reads=("/etc/motd",)) if host.name == "cp1" else Queries())
    world.hosts["cp1"].put("/etc/motd", b"hello")
    with world.session("- {play: A, hosts: all, tasks: [copy]}") as session:
        session.apply(session.plan())
    assert world.hosts["w2"].file("/etc/copy") == b"hello"


def test_arguments_are_filled_per_host(world: Any) -> None:
    text = """
- play: A
  hosts: all
  vars: {who: nobody, where: /etc/x}
  tasks:
    - files.write:
        paths: ["{{ where }}", "/etc/{{ host.name }}"]
        content: "{{ who }} at {{ host.address }} on {{ facts.os_id }}"
"""
    with world.session(text, variables={"who": "me"}) as session:
        session.apply(session.plan())
    assert world.hosts["w1"].file("/etc/w1") == b"me at 192.0.2.1 on debian"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("{{ nothing }}", "the variable nothing is not defined"),
        ("a {{ nothing }}", "the variable nothing is not defined"),
        ("{{ ''.__class__.__mro__ }}", "cannot be filled"),
        ("{{ host.name.nothing.more }}", "cannot be filled"),
    ],
)
def test_a_template_that_cannot_be_filled_is_told(world: Any, argument: str, told: str) -> None:
    text = json.dumps([{"play": "A", "hosts": "w1", "tasks": [{"files.write": {"content": argument}}]}])
    with world.session(text) as session:
        (failure,) = session.plan().failures
    assert (failure.host, failure.step) == ("w1", "files.write")
    assert told in failure.cause


def test_a_task_that_gives_something_else_is_told(world: Any) -> None:
    world.task("odd", lambda _: ["/etc/a"])
    with world.session("- {play: A, hosts: w1, tasks: [odd]}") as session:
        (failure,) = session.plan().failures
    assert "neither an operation nor an action" in failure.cause


def test_a_task_that_makes_and_removes_is_planned_as_both(world: Any) -> None:
    world.task("both", lambda _: [File(path="/etc/a", content=b""), Absent(path="/etc/a")])
    with world.session("- {play: A, hosts: w1, tasks: [both]}") as session:
        plan = session.plan()
        assert [change.verb for step in plan.steps for change in step.changes] == [Verb.CREATE, Verb.REMOVE]
        assert not session.apply(plan).failures


def test_the_note_is_read_with_the_operations(world: Any) -> None:
    asked: list[Queries] = []
    host = world.hosts["w1"]
    observe = host.observe

    def note(queries: Queries) -> Observation:
        asked.append(queries)
        return cast("Observation", observe(queries))

    host.observe = note
    with world.session("- {play: A, hosts: w1, tasks: [files.write]}") as session:
        session.plan()
    assert asked[-1].reads == (paths.RUN_NOTE,)


def test_diffs_are_fetched_where_asked_for(world: Any) -> None:
    host = world.hosts["cp1"]
    host.put("/etc/a", b"old\n")
    key = File(path="/etc/key", content=Secret(b"new secret"), mode=0o600)
    world.hosts["cp1"].put("/etc/key", b"old secret")
    world.task("keys", lambda _: [key])
    text = "- {play: Keys, hosts: cp1, tasks: [keys]}\n- {play: Write, hosts: cp1, tasks: [files.write]}"
    with world.session(text) as session:
        plain = session.plan()
        calls = len(host.calls)
        plan = session.plan(diff=True)
        assert len(host.calls) == calls + 2  # facts are known by now; one observe, one fetch
        assert plan.without_diffs() == plain
        diffs = {change.title: change.diff for step in plan.steps for change in step.changes}
        assert diffs == {
            "file /etc/key": None,
            "file /etc/a": Diff("/etc/a", "old\n", "x"),
            "file /etc/b": Diff("/etc/b", "", "x"),
        }
        assert "secret" not in json.dumps(plan.to_data()).replace('"secret"', "")
        assert not session.apply(plan).failures


def test_diffs_of_actions_are_shown_where_asked_for(world: Any, wait: Any) -> None:
    class Objects(wait):  # type: ignore[misc]  # a fixture's class
        def plan(self, run: Any) -> list[Change]:
            return [replace(change, diff=Diff("object", "a", "b")) for change in super().plan(run)]

    world.task("objects", lambda _: [Objects("objects", [], needed=lambda _: True)])
    with world.session("- {play: A, hosts: cp1, tasks: [objects]}") as session:
        for diff in (False, True):
            ((change,),) = (step.changes for step in session.plan(diff=diff).steps)
            assert (change.diff is not None) == diff
