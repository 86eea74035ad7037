"""When a run lets old generations go, what it says of it, and what it costs; how: protocol/test_collecting.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.collecting import KEPT
from kubeforge.engine.events import Collected, Warned
from kubeforge.engine.generations import LEDGER_QUERIES, read_ledger
from kubeforge.engine.model import Facts
from kubeforge.operations.model import Queries, Result
from kubeforge.transport.base import Remote

BOOK = "- {play: Write, hosts: all, tasks: [files.write: {content: TEXT}]}"
SWEEP = "programs that nothing names"


@pytest.fixture
def world(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two hosts whose facts count generations as the real script does."""
    made = make("cp1", "w1")
    plain = made.reader

    def reader(remote: Remote, reads: Queries, waits: Callable[[str], None]) -> Any:
        facts: Facts
        facts, seen = plain(remote, reads, waits)
        ledger = read_ledger(made.hosts[remote.host].observe(LEDGER_QUERIES))
        made.hosts[remote.host].calls.pop()
        return replace(facts, generations=len(ledger.generations)), seen

    monkeypatch.setattr(made, "reader", reader)
    return made


def run(world: Any, text: str, **more: Any) -> Any:
    world.events.clear()
    with world.session(BOOK.replace("TEXT", text), **more) as session:
        return session.apply(session.plan())


def fill(world: Any) -> None:
    for number in range(KEPT):
        assert run(world, f"text{number}").exit_code == 0
        assert world.of(Collected) == []
    for host in world.hosts.values():
        host.calls.clear()


def test_the_first_runs_ask_nothing_more(world: Any) -> None:
    assert run(world, "a").exit_code == 0
    assert world.hosts["w1"].calls == ["observe", "observe", "observe", "act"]


def test_the_run_that_adds_one_too_many_collects(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    fill(world)
    result = run(world, "more", record=True)
    assert result.exit_code == 0
    for host in world.hosts.values():
        assert host.calls == ["observe", "observe", "observe", "act", "observe", "observe", "act"]
        assert host.acted[-2:] == ["generations 1 to 1", SWEEP]
    # no line of the plan or the result, but an event of each host, in the journal too
    assert {done.title for done in result.done} == {"file /etc/a", "file /etc/b"}
    assert {event.host for event in world.of(Collected)} == {"cp1", "w1"}
    assert result.journal is not None
    journal = "".join(file.read_text() for file in Path(result.journal).glob("*.jsonl"))
    told = [json.loads(line) for line in journal.splitlines() if '"Collected"' in line]
    assert sorted((each["host"], each["generations"]) for each in told) == [("cp1", 1), ("w1", 1)]


def test_a_run_with_nothing_to_do_asks_nothing_more(world: Any) -> None:
    fill(world)
    run(world, "more")
    for host in world.hosts.values():
        host.calls.clear()
    result = run(world, "more")
    assert (result.exit_code, result.done) == (0, ())
    assert all(host.calls == ["observe", "observe"] for host in world.hosts.values())


def test_only_hosts_that_the_run_changed(world: Any) -> None:
    fill(world)
    assert run(world, "more", limit="w1").exit_code == 0
    assert [event.host for event in world.of(Collected)] == ["w1"]
    assert world.hosts["cp1"].calls == []


def test_a_run_that_fails_collects_nothing(world: Any) -> None:
    fill(world)
    world.hosts["w1"].fail = {"file /etc/b": 1}
    assert run(world, "more").exit_code == 13
    assert world.of(Collected) == []
    assert "act" not in world.hosts["cp1"].calls[4:]


def test_a_run_that_is_stopped_collects_nothing(world: Any) -> None:
    fill(world)
    with world.session(BOOK.replace("TEXT", "more")) as session:
        plan = session.plan()
        world.hosts["w1"].before_act = session.stop
        world.hosts["cp1"].before_act = session.stop
        session.apply(plan)
    assert world.of(Collected) == []


def test_what_cannot_be_collected_is_no_failure(world: Any) -> None:
    fill(world)
    world.hosts["cp1"].fail = {SWEEP: 1}

    def away() -> None:
        if world.hosts["w1"].calls.count("act") == 2:
            world.hosts["w1"].unreachable = True

    world.hosts["w1"].before_act = away
    result = run(world, "more")
    assert (result.exit_code, result.failures) == (0, ())
    said = {event.host: event.message for event in world.of(Warned)}
    assert said == {
        "cp1": f"old generations stay there for now: {SWEEP}: exit status 1: failed as asked",
        "w1": "old generations stay there for now: cannot be reached",
    }


def test_an_unforeseen_fault_is_no_failure_either(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world)
    monkeypatch.setattr("kubeforge.engine.collecting._removed", lambda *_: Result.nowhere)  # type: ignore[attr-defined]
    assert run(world, "more").exit_code == 0
    assert all("raised AttributeError" in event.message for event in world.of(Warned))
    assert len(world.of(Warned)) == 2
