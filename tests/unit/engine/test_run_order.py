"""Who does what when: barriers, serial batches, run_once, limits, failures, Ctrl-C."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine import lock
from kubeforge.engine.events import HostFailed, PlayDone, PlayStarted, StepFailed, StepStarted, Stopping, Warned
from kubeforge.engine.model import Context
from kubeforge.errors import ConnectionFailed, InputError, OperationFailed
from kubeforge.operations.file import File
from kubeforge.spec.model import ClusterSpec


def actions(world: Any, wait: Any, *names: str) -> None:
    """Give each host an action per name; it runs whenever its task is listed."""
    for name in names:
        world.task(name, lambda _, name=name: [wait(name, world.journal, needed=lambda _: True)])


def apply(world: Any, text: str, **more: Any) -> Any:
    with world.session(text, **more) as session:
        return session.apply(session.plan())


def test_plays_are_barriers(make: Callable[..., Any], wait: Any) -> None:
    world = make("cp1", "w1", "w2", "w3")
    actions(world, wait, "a", "b")
    apply(world, "- {play: A, hosts: all, tasks: [a]}\n- {play: B, hosts: all, tasks: [b]}")
    assert [entry.split()[1] for entry in world.journal] == ["a"] * 4 + ["b"] * 4
    kinds = [type(event).__name__ for event in world.events if isinstance(event, PlayStarted | PlayDone)]
    assert kinds == ["PlayStarted", "PlayDone"] * 2


def test_serial_batches_do_not_overlap(make: Callable[..., Any], wait: Any) -> None:
    world = make("w1", "w2", "w3", "w4", "w5")
    actions(world, wait, "a", "b")
    apply(world, "- {play: A, hosts: all, serial: 40%, tasks: [a, b]}")
    batches = [world.journal[0:4], world.journal[4:8], world.journal[8:10]]
    assert [sorted({entry.split()[0] for entry in batch}) for batch in batches] == [["w1", "w2"], ["w3", "w4"], ["w5"]]


def test_groups_come_one_after_the_other_and_order_may_be_turned_round(make: Callable[..., Any], wait: Any) -> None:
    """As cluster.yml says it; who is in no group comes last, in batches of the play."""
    world = make("cp1", "w1", "w2", "w3")
    actions(world, wait, "a")
    groups = {"kube_node": {"serial": ["2"]}}
    spec = ClusterSpec.model_validate({"name": "demo", "kubernetes": "1.36.3", "upgrade": {"groups": groups}})
    play = "- {play: A, hosts: all, serial: 1, by_group: true, order: reverse_inventory, tasks: [a]}"
    apply(world, play, spec=spec)
    hosts = [entry.split()[0] for entry in world.journal]
    assert [sorted(hosts[:2]), *hosts[2:]] == [["w2", "w3"], "w1", "cp1"]


def test_run_once_takes_the_first_host(world: Any, wait: Any) -> None:
    actions(world, wait, "a")
    apply(world, "- {play: A, hosts: all, run_once: true, tasks: [a]}")
    assert world.journal == ["cp1 a"]


@pytest.mark.parametrize(("limit", "ran"), [("w1", ["w1 a"]), ("all:!cp1", ["w1 a", "w2 a"]), ("kube_node,cp1", None)])
def test_limit_intersects(world: Any, wait: Any, limit: str, ran: list[str] | None) -> None:
    actions(world, wait, "a")
    apply(world, "- {play: A, hosts: all, tasks: [a]}", limit=limit)
    assert sorted(world.journal) == (ran or ["cp1 a", "w1 a", "w2 a"])
    silent = {"cp1", "w1", "w2"} - {entry.split()[0] for entry in world.journal}
    assert all(not world.hosts[name].calls for name in silent)


def test_limit_that_selects_nobody_of_the_playbook(world: Any, wait: Any) -> None:
    actions(world, wait, "a")
    with pytest.raises(InputError, match="1 problem"):
        world.session("- {play: A, hosts: kube_control_plane, tasks: [a]}", limit="w1")
    with pytest.raises(InputError) as caught:
        world.session("- {play: A, hosts: all, tasks: [a]}\n- {play: B, hosts: kube_nod, tasks: [a]}", limit="x9")
    assert "x9" in str(caught.value)
    assert "kube_nod" in str(caught.value)


def test_roles_may_be_empty(make: Callable[..., Any], wait: Any) -> None:
    """A cluster of control planes only has no workers to join: a shipped playbook's play is empty, not wrong."""
    world = make("cp1")
    actions(world, wait, "a")
    text = "- {play: A, hosts: kube_node, tasks: [a]}\n- {play: B, hosts: cluster, tasks: [a]}"
    text += "\n- {play: C, hosts: 'etcd:kube_load_balancer', tasks: [a]}"
    with world.session("", playbook=replace(world.book(text), shipped=True)) as session:
        session.apply(session.plan())
    assert world.journal == ["cp1 a", "cp1 a"]


def failing(world: Any, *hosts: str) -> None:
    for name in hosts:
        world.hosts[name].fail["file /etc/a"] = 7


TWO_PLAYS = """
- {play: Write, hosts: all, tasks: [files.write]}
- {play: Then, hosts: all, tasks: [a]}
"""


def test_a_failure_stops_the_run_and_names_what_is_left(world: Any, wait: Any) -> None:
    actions(world, wait, "a")
    failing(world, "w1")
    result = apply(world, TWO_PLAYS)
    assert result.exit_code == 13
    (failure,) = result.failures
    assert (failure.host, failure.step, failure.evidence) == ("w1", "file /etc/a", ("failed as asked",))
    assert "exit status 7" in failure.cause
    assert {(step.host, step.titles) for step in result.remaining} == {
        ("w1", ("file /etc/a", "file /etc/b")),
        *((host, ("a",)) for host in ("cp1", "w1", "w2")),
    }
    assert world.journal == []
    assert len(world.of(StepFailed)) == 1
    assert len(world.of(Stopping)) == 1


def test_what_was_made_before_the_failure_is_done(world: Any) -> None:
    world.hosts["w1"].fail["file /etc/b"] = 1
    result = apply(world, "- {play: Write, hosts: all, tasks: [files.write]}")
    assert ("w1", "file /etc/a") in {(done.host, done.title) for done in result.done}
    assert [(step.host, step.titles) for step in result.remaining] == [("w1", ("file /etc/b",))]
    assert "1 of 2 changes were made before it" in result.failures[0].cause
    del world.hosts["w1"].fail["file /etc/b"]
    again = apply(world, "- {play: Write, hosts: all, tasks: [files.write]}")
    assert [(done.host, done.title) for done in again.done] == [("w1", "file /etc/b")]


def test_within_its_limit_a_failed_host_drops_out(world: Any, wait: Any) -> None:
    actions(world, wait, "a")
    failing(world, "w1")
    limited = TWO_PLAYS.replace("hosts: all", "hosts: all, max_failures: 40%")
    result = apply(world, limited)
    assert sorted(world.journal) == ["cp1 a", "w2 a"]
    assert result.exit_code == 13
    assert {(step.host, step.play) for step in result.remaining} == {("w1", "Write"), ("w1", "Then")}


def test_serial_stops_after_the_running_batch(make: Callable[..., Any]) -> None:
    world = make("w1", "w2", "w3", "w4")
    failing(world, "w2")
    result = apply(world, "- {play: Write, hosts: all, serial: 2, tasks: [files.write]}")
    assert {done.host for done in result.done} == {"w1"}
    assert {step.host for step in result.remaining} == {"w2", "w3", "w4"}


def test_all_unreachable_hosts_are_told_at_once_and_nothing_is_done(world: Any) -> None:
    for name in ("w1", "w2"):
        world.hosts[name].unreachable = True
    with world.session(TWO_PLAYS.splitlines()[1]) as session:
        plan = session.plan()
        assert [(failure.host, failure.exit_code) for failure in plan.failures] == [("w1", 11), ("w2", 11)]
        assert plan.exit_code == 11
        result = session.apply(plan)
    assert result.exit_code == 11
    assert result.done == ()
    assert [step.host for step in result.remaining] == ["cp1"]
    assert world.hosts["cp1"].acted == []


def test_hosts_that_cannot_be_reached_count_as_failed(world: Any) -> None:
    world.hosts["w1"].unreachable = True
    result = apply(world, "- {play: Write, hosts: all, max_failures: 1, tasks: [files.write]}")
    assert {done.host for done in result.done} == {"cp1", "w2"}
    assert result.exit_code == 11


IGNORING = "- {play: Write, hosts: all, serial: 1, ignore_unreachable: true, tasks: [files.write]}"


def test_hosts_that_cannot_be_reached_may_be_left_out(world: Any) -> None:
    world.hosts["cp1"].unreachable = True
    with world.session(IGNORING) as session:
        plan = session.plan()
        assert not session.blocked(plan)
        result = session.apply(plan)
    assert {done.host for done in result.done} == {"w1", "w2"}
    assert ([failure.host for failure in result.failures], result.exit_code) == (["cp1"], 11)


def test_a_host_that_is_left_out_is_no_leave_for_others_to_fail(world: Any) -> None:
    world.hosts["cp1"].unreachable = True
    failing(world, "w1")
    result = apply(world, IGNORING)
    assert result.done == ()
    assert {step.host for step in result.remaining} == {"w1", "w2"}


def test_a_host_that_is_lost_later_ends_the_run(world: Any) -> None:
    def lost() -> None:
        raise ConnectionFailed("no route to host", host="w1")

    world.hosts["w1"].before_act = lost
    result = apply(world, IGNORING)
    assert {done.host for done in result.done} == {"cp1"}
    assert {step.host for step in result.remaining} == {"w1", "w2"}


def test_a_fault_in_a_task_is_that_hosts_failure(world: Any) -> None:
    def broken(context: Context) -> Any:
        if context.host.name == "w1":
            raise ZeroDivisionError("division by zero")
        yield File(path="/etc/a", content=b"")

    world.task("broken", broken)
    with world.session("- {play: A, hosts: all, tasks: [broken]}") as session:
        plan = session.plan()
    (failure,) = plan.failures
    assert (failure.host, failure.step) == ("w1", "broken")
    assert failure.cause == "code of your own raised ZeroDivisionError: division by zero"
    assert "test_run_order.py" in failure.evidence[-2]
    assert failure.evidence[-1] == "playbook.yml:1"
    assert failure.remedy == "correct it"


def test_a_play_over_its_limit_ends_the_run_for_other_hosts_too(world: Any, wait: Any) -> None:
    def fail(_: Any) -> None:
        raise OperationFailed("no")

    world.task("a", lambda _: [wait("a", world.journal, needed=lambda _: True, body=fail)])
    world.task("b", lambda _: [wait("b", world.journal, needed=lambda _: True)])
    with world.session("[{play: A, hosts: w1, tasks: [a]}, {play: B, hosts: cp1, tasks: [b]}]") as session:
        result = session.apply(session.plan())
    assert result.exit_code == 13
    assert world.journal == []
    assert [(step.host, step.step) for step in result.remaining] == [("w1", "a"), ("cp1", "b")]


def test_ctrl_c_stops_after_what_runs(world: Any, wait: Any) -> None:
    actions(world, wait, "b")
    stop: list[Any] = []
    world.task("a", lambda _: [wait("a", world.journal, needed=lambda _: True, body=lambda _: stop[0]())])
    with world.session("- {play: A, hosts: all, serial: 1, tasks: [a, b]}") as session:
        plan = session.plan()
        stop.append(session.stop)
        result = session.apply(plan)
    assert world.journal == ["cp1 a"]
    assert result.interrupted
    assert result.exit_code == 130
    assert [(step.host, step.step) for step in result.remaining] == [
        ("cp1", "b"),
        *((host, step) for host in ("w1", "w2") for step in ("a", "b")),
    ]


def test_ctrl_c_ends_an_action_that_waits(world: Any, wait: Any) -> None:
    def body(run: Any) -> None:
        session.stop()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            run.checkpoint()

    world.task("a", lambda _: [wait("a", world.journal, needed=lambda _: True, body=body)])
    with world.session("- {play: A, hosts: cp1, tasks: [a]}") as session:
        result = session.apply(session.plan())
    assert result.interrupted
    assert not result.failures
    assert [(step.host, step.titles) for step in result.remaining] == [("cp1", ("a",))]


def test_200_hosts(make: Callable[..., Any], wait: Any) -> None:
    world = make(*(f"n{number}" for number in range(200)))
    actions(world, wait, "a")
    result = apply(world, TWO_PLAYS)
    assert len(result.done) == 600
    assert len(world.of(StepStarted)) == 400


def test_a_lost_lock_is_a_failure_and_no_ctrl_c(world: Any, wait: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.02)
    monkeypatch.setattr(lock, "REGAIN_PAUSE", 0.02)
    monkeypatch.setattr(lock, "REGAIN_WITHIN", 0.1)
    ours, theirs = socket.socketpair()
    theirs.sendall(b"held\n")
    world.streams["cp1"] = lambda: ours

    def body(run: Any) -> None:
        theirs.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            run.checkpoint()

    world.task("a", lambda _: [wait("a", world.journal, needed=lambda _: True, body=body)])
    with world.session("- {play: A, hosts: w1, tasks: [a]}", exclusive=True) as session:
        result = session.apply(session.plan())
    (failure,) = result.failures
    assert (failure.error, failure.host, failure.step) == ("ConnectionLost", "cp1", "lock")
    assert failure.remedy
    assert result.exit_code == 11
    assert [event.failure for event in world.of(HostFailed)] == [failure]


def test_a_control_plane_that_reboots_in_the_middle(world: Any, wait: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs goes on, nothing begins until the lock is held again, and the run ends well."""
    monkeypatch.setattr(lock, "HEARTBEAT", 0.02)
    monkeypatch.setattr(lock, "REGAIN_PAUSE", 0.02)
    pairs = [socket.socketpair() for _ in range(2)]
    for _, theirs in pairs:
        theirs.sendall(b"held\n")
    streams = [ours for ours, _ in pairs]
    up = threading.Event()

    def open_stream() -> socket.socket:
        if len(streams) == 1 and not up.is_set():
            raise ConnectionFailed("no route to host", host="cp1")
        return streams.pop(0)

    world.streams["cp1"] = open_stream
    began: list[bool] = []

    def reboots(_: Any) -> None:
        pairs[0][1].close()
        deadline = time.monotonic() + 10
        while not world.of(Warned) and time.monotonic() < deadline:
            time.sleep(0.01)
        threading.Timer(0.2, up.set).start()

    world.task("a", lambda _: [wait("a", world.journal, needed=lambda _: True, body=reboots)])
    begins = [wait("b", world.journal, needed=lambda _: True, body=lambda _: began.append(up.is_set()))]
    world.task("b", lambda _: begins)
    with world.session("- {play: A, hosts: w1, tasks: [a, b]}", exclusive=True) as session:
        result = session.apply(session.plan())
    assert (result.exit_code, result.failures, result.remaining) == (0, (), ())
    assert began == [True]
    assert [event.host for event in world.of(Warned)] == ["cp1", "cp1"]
    pairs[1][1].close()
