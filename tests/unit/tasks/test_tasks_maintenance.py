"""Rolling restarts and commands: what they refuse, tell, and wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.errors import DeadlineExceeded, InputError, OperationFailed
from kubeforge.operations.model import Observation, UnitState
from kubeforge.spec.paths import BIN
from kubeforge.tasks import maintenance
from kubeforge.tasks.drain import Drain
from kubeforge.tasks.host_back import heartbeats
from kubeforge.tasks.maintenance import AROUND, COMMAND, UNIT, WITHIN, Commanded, Restarted
from kubeforge.tasks.rolling import Spared
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING
from tests.unit.draining_api import DrainableApi, node
from tests.unit.tasks.memory_api import FixedAccess

Make = Callable[..., Any]
CTR = (f"{BIN}/ctr", "--connect-timeout", "2s", "version")


def starts(unit: str) -> tuple[str, ...]:
    return ("systemctl", "show", "-P", "NRestarts", f"{unit}.service")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "COMPONENT_DEADLINE", 0.2)
    monkeypatch.setattr(maintenance, "kubelet_log", lambda *_, **__: ["kubelet: no"])
    monkeypatch.setattr(maintenance, "unit_log", lambda *_: ["unit: no"])


@pytest.fixture
def talk(site: Make) -> Make:
    """Return `talk(made, name)`: a conversation, and what was said in it."""

    def make(made: Any, name: str = "w1") -> tuple[Conversation, list[str]]:
        said: list[str] = []
        made.vault.once("cluster.access", lambda: FixedAccess(DrainableApi.of(reporting())))

        def heard(event: Any) -> None:
            if isinstance(event, ActionSaid):
                said.append(event.message)

        run = Conversation(
            context=made.context(name, maintenance.serves),
            title="t",
            expected=Observation(),
            pending=False,
            connect=lambda host: made.hosts[host],
            events=Events([heard]),
            stopping=lambda: False,
            run_id="r1",
        )
        return run, said

    return make


def reporting() -> Any:
    one = node("w1")
    one["status"]["conditions"][0]["lastHeartbeatTime"] = "10:00"
    return one


@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_a_unit_is_restarted_and_waited_for(site: Make, talk: Make, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site()
    host = made.hosts["w1"]
    host.overlay(Observation(units={f"{unit}.service": RUNNING}))
    host.commands |= {("systemctl", "restart", f"{unit}.service"): Completed(0), CTR: Completed(0)}
    host.commands[starts(unit)] = Completed(0, b"0\n")
    monkeypatch.setattr(maintenance, "lacks_kubelet", lambda *_: None)
    (action,) = made.ask("w1", maintenance.restart, vars={UNIT: unit})
    run, _ = talk(made)
    changes = action.run(run)
    assert changes == action.plan(run)
    assert [change.title for change in changes] == [f"unit {unit}.service"]
    assert heartbeats(run.context) == ({"w1": "10:00"} if unit == "kubelet" else {})


@pytest.mark.parametrize(
    ("unit", "state", "why"),
    [
        ("kubelet", UnitState(load="loaded", active="failed"), "systemd says of kubelet.service: failed"),
        ("containerd", RUNNING, "containerd does not answer"),
    ],
)
def test_a_unit_that_does_not_come_back(site: Make, talk: Make, unit: str, state: UnitState, why: str) -> None:
    made = site()
    made.hosts["w1"].overlay(Observation(units={f"{unit}.service": state}))
    made.hosts["w1"].commands["systemctl", "restart", f"{unit}.service"] = Completed(0)
    made.hosts["w1"].commands[starts(unit)] = Completed(0, b"1\n")
    with pytest.raises(DeadlineExceeded, match=why) as caught:
        Restarted(name=unit).run(talk(made)[0])
    assert caught.value.evidence == ("unit: no", "kubelet: no")


def test_a_unit_that_ends_again_and_again_is_not_waited_for(site: Make, talk: Make) -> None:
    made = site()
    made.hosts["w1"].commands["systemctl", "restart", "kubelet.service"] = Completed(0)
    made.hosts["w1"].commands[starts("kubelet")] = Completed(0, b"2\n")
    with pytest.raises(OperationFailed, match="kubelet ends as soon as it is started") as caught:
        Restarted(name="kubelet").run(talk(made)[0])
    assert caught.value.evidence == ("unit: no",)


def test_a_unit_that_systemd_does_not_know(site: Make, talk: Make) -> None:
    with pytest.raises(OperationFailed):
        Restarted(name="kubelet").run(talk(site())[0])


def test_only_these_units_and_only_on_nodes(site: Make) -> None:
    with pytest.raises(InputError) as caught:
        site().ask("w1", maintenance.restart, vars={UNIT: "sshd"})
    assert caught.value.problems[0].message == "`sshd` is none of kubelet, containerd"
    assert site(load_balancers=1).ask("lb1", maintenance.restart, vars={UNIT: "kubelet"}) == []


def test_control_planes_have_a_gate(site: Make) -> None:
    made = site(control_planes=3)
    assert [type(item) for item in made.ask("cp1", maintenance.gate)] == [Spared]
    assert made.ask("w1", maintenance.gate) == []


def test_a_command_and_what_it_said(site: Make, talk: Make) -> None:
    made = site()
    made.hosts["w1"].commands["sh", "-c", "uptime"] = Completed(0, b"one\ntwo\n", b"three\n")
    (action,) = made.ask("w1", maintenance.command, vars={COMMAND: "uptime", WITHIN: "5m"})
    assert action == Commanded(line="uptime", within=300.0)
    run, said = talk(made)
    assert [change.title for change in action.plan(run)] == ["command uptime"]
    assert [change.why for change in action.run(run)] == ["three"]
    assert said == ["one", "two", "three"]


def test_a_long_answer_is_cut(site: Make, talk: Make) -> None:
    made = site()
    made.hosts["w1"].commands["sh", "-c", "yes"] = Completed(0, b"y\n" * 1000)
    run, said = talk(made)
    Commanded(line="yes").run(run)
    assert (len(said), said[-1]) == (201, "(800 more lines)")


def test_a_silent_command(site: Make, talk: Make) -> None:
    made = site()
    made.hosts["w1"].commands["sh", "-c", "true"] = Completed(0)
    assert [change.why for change in Commanded(line="true").run(talk(made)[0])] == [
        "ended with status 0, and said nothing"
    ]


def test_a_command_that_fails(site: Make, talk: Make) -> None:
    made = site()
    made.hosts["w1"].commands["sh", "-c", "false"] = Completed(3, b"", b"no room left\n")
    with pytest.raises(OperationFailed, match="status 3; no further host was begun") as caught:
        Commanded(line="false").run(talk(made)[0])
    assert caught.value.evidence == ("no room left",)


def test_no_command(site: Make) -> None:
    with pytest.raises(InputError, match="1 problem"):
        site().ask("w1", maintenance.command)


def test_draining_around_a_command_is_asked_for(site: Make) -> None:
    made = site(load_balancers=1)
    assert made.ask("w1", maintenance.drain) == []
    assert [type(item) for item in made.ask("w1", maintenance.drain, vars={AROUND: "yes"})] == [Drain]
    assert made.ask("lb1", maintenance.drain, vars={AROUND: "yes"}) == []


def test_a_host_of_no_cluster_is_not_waited_for(site: Make) -> None:
    made = site()
    assert [item.node for item in made.ask("w1", maintenance.serves)] == ["w1"]
