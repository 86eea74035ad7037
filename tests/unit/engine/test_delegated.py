"""What is done on another host, when it fails or is cut off: handlers, secrets, what is gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.events import ActionSaid
from kubeforge.engine.records import recorded
from kubeforge.engine.resume import GoingOn, chosen
from kubeforge.operations import File, Restart
from kubeforge.operations.command import Command
from kubeforge.operations.model import Observation
from kubeforge.operations.notified import stamp
from kubeforge.secret import Secret
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING

WRITE = {"files.write": {"paths": ["/etc/a"]}}
RESTART = {"name": "again", "service.restart": {"unit": "web.service"}}


def play(**more: Any) -> str:
    return json.dumps([{"play": "A", "hosts": "w1", **more}])


@pytest.fixture
def site(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    world.task("service.restart", lambda _, unit: [Restart(name=unit)])
    for host in world.hosts.values():
        host.overlay(Observation(units={"web.service": RUNNING}))
        for title in ("waited", "restart web.service on cp1"):
            host.commands["rm", "-f", "--", stamp(title)] = Completed(0)
    return world


@pytest.fixture
def run(site: Any) -> Callable[..., Any]:
    def run(text: str, **more: Any) -> Any:
        with site.session(text, record=True, **more) as session:
            return session.apply(session.plan())

    return run


@pytest.fixture
def again(run: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def again(text: str, doubtful: str | None = None) -> Any:
        return run(text, resume=GoingOn(chosen(tmp_path / "runs" / "default", "last", "playbook"), doubtful))

    return again


def test_a_handler_there_that_failed_is_done_when_gone_on_with(
    site: Any, run: Callable[..., Any], again: Callable[..., Any]
) -> None:
    text = play(
        tasks=[{**WRITE, "delegate_to": "cp1", "notify": "again"}], handlers=[{**RESTART, "delegate_to": "cp1"}]
    )
    site.hosts["cp1"].fail["restart web.service"] = 1
    assert run(text).failures
    site.hosts["cp1"].fail.clear()
    assert again(text).exit_code == 0
    assert site.hosts["cp1"].acted == ["file /etc/a", "restart web.service"]


def test_an_action_there_is_due_by_the_stamp_here(site: Any, run: Callable[..., Any], wait: Any) -> None:
    site.task("wait.it", lambda _: [wait("waited", site.journal, needed=lambda _: True)])
    text = play(
        tasks=[{**WRITE, "notify": "again"}], handlers=[{"name": "again", "wait.it": None, "delegate_to": "cp1"}]
    )
    assert run(text).exit_code == 0
    assert (site.hosts["w1"].ran, site.hosts["cp1"].ran) == ([("rm", "-f", "--", stamp("waited"))], [])
    with site.session(text) as session:  # no shell runs in memory: the stamp is there, as after a run that was cut off
        assert [step.step for step in session.plan().steps] == ["waited"]


def test_no_secret_is_in_what_a_failure_there_prints(site: Any, run: Callable[..., Any]) -> None:
    site.task("file.secret", lambda _: [File(path="/etc/s", content=Secret("hunter2222"))])
    site.hosts["cp1"].say["file /etc/s"] = b"no room for hunter2222"
    (failure,) = run(play(tasks=[{"file.secret": None, "delegate_to": "cp1"}])).failures
    assert "no room for" in failure.evidence[0]
    assert "hunter2222" not in str(site.events) + str(failure)


@pytest.mark.parametrize(("said", "times"), [("redo", [2, 1]), ("skip", [1, 0])])
def test_what_was_done_there_before_a_failure_is_not_done_twice_unasked(
    site: Any, run: Callable[..., Any], again: Callable[..., Any], said: str, times: list[int]
) -> None:
    site.task("run.two", lambda _: [Command(argv=("one",)), Command(argv=("two",))])
    site.hosts["cp1"].fail["command two"] = 1
    text = play(tasks=[{"run.two": None, "delegate_to": "cp1"}])
    assert run(text).failures
    site.hosts["cp1"].fail.clear()
    (refused,) = again(text).failures
    assert "nothing tells how far it came" in refused.cause
    assert site.hosts["cp1"].acted.count("command one") == 1
    assert again(text, said).exit_code == 0
    assert [site.hosts["cp1"].acted.count(f"command {one}") for one in ("one", "two")] == times


def test_what_is_said_there_is_said_in_the_turn_of_the_host_here(
    site: Any, run: Callable[..., Any], wait: Any, tmp_path: Path
) -> None:
    site.task("wait.it", lambda _: [wait("waited", site.journal, needed=lambda _: True)])
    run(play(tasks=[{"wait.it": None, "delegate_to": "cp1"}]))
    assert [(said.host, said.message) for said in site.of(ActionSaid)] == [("w1", "waiting")]
    (run_,) = recorded(tmp_path / "runs" / "default")
    assert [(step.host, step.said) for step in run_.steps] == [("w1", ("waiting",))]


TWO: list[dict[str, Any]] = [
    {"play": "First", "hosts": "kube_node", "serial": 1, "tasks": [{**WRITE, "delegate_to": "cp1"}]},
    {"play": "Second", "hosts": "kube_node", "tasks": [{"files.write": {"paths": ["/etc/b"]}}]},
]


@pytest.mark.parametrize("limit", [0, 1])
def test_who_fails_there_is_the_host_whose_turn_it_is(site: Any, run: Callable[..., Any], limit: int) -> None:
    site.hosts["cp1"].fail["file /etc/a"] = 1
    plays = [{**play, "max_failures": limit} for play in TWO]
    site.hosts["w2"].put("/etc/b", b"x")
    result = run(json.dumps(plays))
    assert [failure.host for failure in result.failures] == ["w1", "w2"][: limit + 1]
    assert result.failures[0].cause.startswith("cp1: ")
    assert site.hosts["w1"].acted == [], "it takes no further part"


def test_who_cannot_be_planned_there_is_the_host_whose_turn_it_is(site: Any) -> None:
    site.hosts["cp1"].unreachable = True
    with site.session(json.dumps(TWO)) as session:
        plan = session.plan()
        assert session.blocked(plan)
    assert [(failure.host, failure.cause.split(":")[0]) for failure in plan.failures] == [("w1", "cp1"), ("w2", "cp1")]


def test_what_is_planned_there_says_nothing_of_this_host(site: Any, run: Callable[..., Any]) -> None:
    """Both have a file of that name: each is written, and each diff is of its own."""
    site.hosts["cp1"].put("/etc/a", b"there\n")
    site.hosts["w1"].put("/etc/a", b"here\n")
    text = play(tasks=[{**WRITE, "delegate_to": "cp1"}, WRITE])
    with site.session(text) as session:
        diffs = [change.diff for step in session.plan(diff=True).steps for change in step.changes]
    assert [(diff.before, diff.after) for diff in diffs if diff] == [("there\n", "x"), ("here\n", "x")]
    assert run(text).exit_code == 0
    assert [site.hosts[name].file("/etc/a") for name in ("cp1", "w1")] == [b"x", b"x"]


def test_what_is_done_and_undone_there_in_one_turn_is_both_planned_and_done(site: Any, run: Callable[..., Any]) -> None:
    """As where a balancer's file takes a server out and back."""
    site.hosts["cp1"].put("/etc/a", b"in")
    calls = [{"files.write": {"paths": ["/etc/a"], "content": text}, "delegate_to": "cp1"} for text in ("out", "in")]
    text = json.dumps([{"play": "A", "hosts": "kube_node", "serial": 1, "tasks": calls}])
    with site.session(text) as session:
        plan = session.plan(diff=True)
    diffs = [change.diff for step in plan.steps for change in step.changes]
    assert [(diff.before, diff.after) for diff in diffs if diff] == [("in", "out"), ("out", "in")] * 2
    assert run(text).exit_code == 0
    assert site.hosts["cp1"].acted == ["file /etc/a"] * 4
    assert site.hosts["cp1"].file("/etc/a") == b"in"
