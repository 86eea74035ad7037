"""A living containerd comes up with what is new, or goes back to what it ran with. On hosts in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine.conversation import Conversation
from kubeforge.errors import OperationFailed
from kubeforge.operations.model import Entry, Observation, Queries, Result, Verb, fold
from kubeforge.spec.paths import BIN, CONTAINERD_CONFIG, KUBELET_CLIENT_CURRENT
from kubeforge.tasks import living, runtime, runtime_rolled
from kubeforge.tasks.runtime_rolled import RuntimeRolled
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING, MemoryHost
from tests.unit.tasks.rolling_site import Make, talk

ASKED = (f"{BIN}/ctr", "--connect-timeout", "2s", "version")
FORGOTTEN = ("rm", "-rf", "--", living.folder(living.RUNTIME))
OLD = b"version = 3\n# of an older kubeforge\n"
Changed = tuple[Any, RuntimeRolled, Conversation]


@pytest.fixture
def changed(site: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Changed]:
    """Return `make()`: a worker whose configuration was just replaced, the action, and a conversation that knows."""
    monkeypatch.setattr(runtime_rolled, "COMPONENT_DEADLINE", 0.1)
    monkeypatch.setattr(runtime_rolled, "unit_log", lambda *_: ["containerd: no"])

    def make() -> Changed:
        made = site()
        made.apply("w1", runtime.install)
        host = made.hosts["w1"]
        host.put(KUBELET_CLIENT_CURRENT, b"by the kubelet")
        host.put(CONTAINERD_CONFIG, OLD)
        host.overlay(Observation(units={"containerd.service": RUNNING}))
        host.commands |= {ASKED: Completed(0), FORGOTTEN: Completed(0)}
        action = next(item for item in made.ask("w1", runtime.roll) if isinstance(item, RuntimeRolled))
        seen = host.observe(Queries.merge(file.observe() for file in action.files))
        changes, after = fold(action.files, seen)
        host.act(changes, seen, run_id="r")
        assert [change.title for change in changes] == [f"file {CONTAINERD_CONFIG}"]
        run = talk(made, "w1", expected=Observation(changed=after.changed))
        return made, action, replace(run, context=made.context("w1", runtime.roll))

    return make


def refuses(monkeypatch: pytest.MonkeyPatch, host: MemoryHost, text: bytes) -> None:
    """Have containerd not start with a configuration."""
    real = MemoryHost.act

    def act(self: MemoryHost, changes: Any, seen: Any, *, run_id: str) -> list[Result]:
        results = real(self, changes, seen, run_id=run_id)
        starts = [index for index, change in enumerate(changes) if change.title.startswith("unit ")]
        if starts and host.file(CONTAINERD_CONFIG) != text:
            host.overlay(Observation(units={"containerd.service": replace(RUNNING, active="failed")}))
            results[starts[0]] = replace(results[starts[0]], status=1)
        return results

    monkeypatch.setattr(MemoryHost, "act", act)


def test_it_is_restarted_once_and_what_it_had_is_forgotten(changed: Callable[[], Changed]) -> None:
    made, action, run = changed()
    (planned,) = action.plan(run)
    assert (planned.title, planned.verb) == ("unit containerd.service", Verb.RESTART)
    assert made.hosts["w1"].file(living.aside(living.RUNTIME, CONTAINERD_CONFIG)) == OLD
    assert [change.title for change in action.run(run)] == ["unit containerd.service"]
    assert made.hosts["w1"].ran[-2:] == [ASKED, FORGOTTEN]


def test_one_that_is_as_it_shall_be_is_left_alone(changed: Callable[[], Changed]) -> None:
    made, action, _ = changed()
    assert action.plan(talk(made, "w1")) == []


def test_one_that_does_not_start_goes_back(changed: Callable[[], Changed], monkeypatch: pytest.MonkeyPatch) -> None:
    made, action, run = changed()
    host = made.hosts["w1"]
    refuses(monkeypatch, host, OLD)
    with pytest.raises(OperationFailed) as raised:
        action.run(run)
    told = raised.value
    assert "containerd does not start; what it ran with before was put back, and it serves again" in told.cause
    assert (told.host, told.step, told.evidence) == ("w1", "runtime.serves", ("containerd: no",))
    assert host.file(CONTAINERD_CONFIG) == OLD
    assert host.state.units["containerd.service"].active == "active"


def test_one_that_starts_and_does_not_answer_goes_back(changed: Callable[[], Changed]) -> None:
    made, action, run = changed()
    host = made.hosts["w1"]

    def answers(_stdin: bytes) -> Completed:
        return Completed(0) if host.file(CONTAINERD_CONFIG) == OLD else Completed(1, stderr=b"connection refused")

    host.commands[ASKED] = answers
    with pytest.raises(OperationFailed, match=r"connection refused; what it ran with before was put back"):
        action.run(run)
    assert host.file(CONTAINERD_CONFIG) == OLD


def test_one_that_nobody_saw_serve_is_looked_at(changed: Callable[[], Changed]) -> None:
    made, _, _ = changed()
    made.hosts["w1"].overlay(Observation(paths={living.folder(living.RUNTIME): Entry(0o040700)}))
    made.begin()
    action = next(item for item in made.ask("w1", runtime.roll) if isinstance(item, RuntimeRolled))
    assert [change.title for change in action.plan(talk(made, "w1"))] == ["runtime.serves"]
    assert [change.title for change in action.run(talk(made, "w1"))] == ["runtime.serves"]
