"""A static pod comes up with what is new, or goes back to what it ran with. On hosts in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.cluster.processes import Process
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.model import Action
from kubeforge.errors import ConnectionLost, OperationFailed
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Entry, Observation, Verb
from kubeforge.spec.paths import RUN_NOTE
from kubeforge.tasks import (
    control_plane,
    etcd,
    etcd_runs,
    kubelet_rolled,
    kubelet_waked,
    last_good,
    living,
    rolled_back,
    rolling,
)
from kubeforge.tasks.ending import END
from kubeforge.tasks.rolled_back import PodServes
from kubeforge.tasks.rolling import PodRolled
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import (
    APISERVER,
    ASIDE,
    NEW,
    Make,
    actions,
    given,
    talk,
)

BACK: list[bool] = []


@pytest.fixture
def rolled(living_site: Make, monkeypatch: pytest.MonkeyPatch, quick: None) -> Make:
    """Return `make(lacks)`: a host with a new manifest, the action that proves it, and a conversation."""

    def make(lacks: Iterator[str | None], **after: Any) -> tuple[Any, PodRolled, Conversation]:
        made = living_site(**(after or NEW))
        made.apply("cp1", control_plane.server)
        action = next(item for item in made.ask("cp1", control_plane.roll) if isinstance(item, PodRolled))
        made.apply("cp1", control_plane.roll)
        run = talk(made, "cp1")
        made.hosts["cp1"].commands[("rm", "-rf", "--", living.folder("kube-apiserver"))] = Completed(0)
        monkeypatch.setattr(rolling, "lacks_pod", lambda *_, **__: next(lacks))
        return made, action, run

    return make


def test_what_lived_is_kept_until_the_new_one_serves(rolled: Make) -> None:
    made, action, run = rolled(iter(["not yet", "not yet", None]))
    assert b"profiling" in made.hosts["cp1"].file(APISERVER)
    assert b"profiling" not in made.hosts["cp1"].file(ASIDE)
    (planned,), (done,) = action.plan(run), action.run(run)
    assert (done.title, done.verb) == (planned.title, planned.verb) == ("pod kube-apiserver", Verb.RESTART)
    assert made.hosts["cp1"].ran[-1] == ("rm", "-rf", "--", "/var/lib/kubeforge/last-good/kube-apiserver")


@pytest.mark.parametrize("followed", [True, False])
def test_a_kubelet_that_did_not_follow_the_old_manifest_is_helped(
    rolled: Make, monkeypatch: pytest.MonkeyPatch, followed: bool
) -> None:
    """It may run the new pod already, and would restart nothing."""
    made, action, run = rolled(iter([None]))

    def processes(_remote: object, name: str, *, files: Any = ()) -> tuple[Process, ...]:
        return (Process(command=(name,), fresh=followed or ASIDE not in files),)

    monkeypatch.setattr(rolling, "processes", processes)
    end = ("sh", "-c", END, "sh", "TERM", "kube-apiserver")
    made.hosts["cp1"].commands[end] = Completed(0)
    action.run(run)
    assert (end in made.hosts["cp1"].ran) is not followed


@pytest.mark.parametrize(("started", "waked"), [(0, 1), (1, 0)])
def test_a_kubelet_that_begins_nothing_is_started_anew_once(
    rolled: Make, monkeypatch: pytest.MonkeyPatch, started: int, waked: int
) -> None:
    """It has had no answer from an API since the host came up: it would never end the old pod."""
    monkeypatch.setattr(kubelet_waked, "starts", lambda *_, **__: started)
    made, action, run = rolled(iter(["it does not run"] * 2 + [None]))
    assert waking(made, monkeypatch, action, run) == ["kube-apiserver"] * waked


@pytest.mark.parametrize(("lacks", "waked"), [("it does not run", 1), (None, 0)])
def test_a_rollback_wakes_a_kubelet_that_begins_nothing(
    rolled: Make, monkeypatch: pytest.MonkeyPatch, lacks: str | None, waked: int
) -> None:
    """The manifest is as old as its pod's folder: whether the pod runs tells whether it was begun."""
    asked: list[str] = []

    def starts(_remote: object, _pod: object, *, since: str) -> int:
        asked.append(since)
        return 0

    def lacks_command(_remote: object, _command: object, *, files: list[str]) -> str | None:
        asked.extend(files)
        return lacks

    monkeypatch.setattr(kubelet_waked, "starts", starts)
    monkeypatch.setattr(kubelet_waked, "lacks_command", lacks_command)
    answers = iter(["it does not answer"] * 2 + [None])
    made, _, run = rolled(iter([]))
    monkeypatch.setattr(rolled_back, "lacks_command", lambda *_, **__: next(answers))
    monkeypatch.setattr(rolled_back, "lacks_answer", lambda *_, **__: None)
    assert waking(made, monkeypatch, PodServes(component="kube-apiserver"), run) == ["kube-apiserver"] * waked
    assert asked == [RUN_NOTE, RUN_NOTE]


def waking(made: Any, monkeypatch: pytest.MonkeyPatch, action: Action, run: Conversation) -> list[str]:
    """Run an action that waits; return whose pods were ended while a kubelet was started anew."""
    monkeypatch.setattr(kubelet_waked, "KUBELET_FOLLOWS", 0)
    ran: list[Any] = []

    def succeed(argv: Any, **_: Any) -> Completed:
        ran.append(argv)
        return Completed(0)

    monkeypatch.setattr(made.hosts["cp1"], "run", succeed)
    action.run(run)
    return [argv[-1] for argv in ran if "systemctl stop kubelet" in argv[2]]


def test_a_client_of_what_has_gone_is_killed_once(rolled: Make, living_site: Make) -> None:
    """An API server without its etcd: the kubelet would wait for its answers and start no etcd."""
    made, action, run = rolled(iter(["not yet", "not yet", None]))
    end = ("sh", "-c", END, "sh", "KILL", "kube-scheduler")
    made.hosts["cp1"].commands[end] = Completed(0)
    replace(action, client="kube-scheduler").run(run)
    assert made.hosts["cp1"].ran.count(end) == 1
    items = living_site(etcd={"extra_args": {"quota-backend-bytes": "4294967296"}}).ask("cp1", etcd.roll)
    assert [item.client for item in items if isinstance(item, PodRolled)] == ["kube-apiserver"]


def test_an_etcd_that_dies_while_a_component_restarts_is_helped(rolled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server beside it takes requests, and a kubelet that waits for their answers starts neither of them."""
    made, action, run = rolled(iter([*["kube-apiserver still runs with other arguments"] * 6, None]))
    monkeypatch.setattr(etcd_runs, "_ABSENT", 0.0)
    runs = iter([None, None, None, "it still runs", None, None])
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: next(runs))
    end = ("sh", "-c", etcd_runs._END, "sh", "kube-apiserver", "--advertise-address=192.0.2.11", "KILL")
    made.hosts["cp1"].commands[end] = Completed(0)
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 60.0)
    action.run(run)
    assert made.hosts["cp1"].ran.count(end) == 2, "once each time that it has gone"


def never(then: str | None = None) -> Iterator[str | None]:
    """Say no until the old manifest is back, then `then`."""
    while True:
        yield "it does not run" if not BACK else then


@pytest.fixture(autouse=True)
def _back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = last_good.put_back

    def put_back(*arguments: Any, **more: Any) -> None:
        real(*arguments, **more)
        BACK.append(True)

    monkeypatch.setattr(rolling, "put_back", put_back)
    monkeypatch.setattr(kubelet_rolled, "put_back", put_back)
    yield
    BACK.clear()


def test_what_does_not_come_up_goes_back_and_the_run_stops(rolled: Make) -> None:
    made, action, run = rolled(never())
    with pytest.raises(OperationFailed) as raised:
        action.run(run)
    error = raised.value
    assert (error.host, error.step, error.evidence) == ("cp1", "pod kube-apiserver", ("kube-apiserver: no",))
    assert "it does not run; what it ran with before was put back, and it serves again" in error.cause
    assert "no further host was touched" in str(error.remedy)
    assert b"profiling" not in made.hosts["cp1"].file(APISERVER)
    assert made.hosts["cp1"].state.paths[APISERVER].permissions == 0o600
    assert made.hosts["cp1"].ran[-1][:2] == ("rm", "-rf")


def test_what_does_not_help_either_is_said_and_kept(rolled: Make) -> None:
    made, action, run = rolled(never("nor the old one"))
    with pytest.raises(OperationFailed, match=r"and that did not help: .*nor the old one"):
        action.run(run)
    assert not made.hosts["cp1"].ran, "what lies aside stays for somebody to look at"
    assert b"profiling" not in made.hosts["cp1"].file(ASIDE)


def test_a_host_that_is_lost_is_not_put_back(rolled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, action, run = rolled(iter([]))

    def lost(*_: Any, **__: Any) -> str:
        raise ConnectionLost("the connection broke", host="cp1")

    monkeypatch.setattr(rolling, "lacks_pod", lost)
    with pytest.raises(ConnectionLost):
        action.run(run)
    assert b"profiling" in made.hosts["cp1"].file(APISERVER)


def test_a_component_that_ends_again_and_again_is_not_waited_for(rolled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 60.0)
    _, action, run = rolled(never())
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 60.0)
    monkeypatch.setattr(rolling, "starts", lambda *_: 0 if BACK else 2)
    with pytest.raises(OperationFailed, match="kube-apiserver was started twice, and ended each time; what it ran"):
        action.run(run)


def test_starts_without_etcd_do_not_count(rolled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: leaders were killed while an API server changed; it ended twice for want of etcd, and was given up."""
    _, action, run = rolled(iter(["it does not answer"] * 8 + [None]))
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 60.0)
    health = iter(["etcd does not answer"] * 3 + [None] * 5)
    monkeypatch.setattr(rolling, "lacks_health", lambda _: next(health))
    began = iter([*range(1, 4), *[4] * 5])
    monkeypatch.setattr(rolling, "starts", lambda *_: next(began))
    assert [change.title for change in action.run(run)] == ["pod kube-apiserver"]


def test_starts_of_the_time_before_do_not_count(rolled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: a scheduler that had been begun anew twice within its days was ended, and taken for one that crashes."""
    _, action, run = rolled(never())
    monkeypatch.setattr(rolling, "starts", lambda *_: 7)
    monkeypatch.setattr(PodRolled, "_must_be_ended", lambda *_: True)
    monkeypatch.setattr(rolling, "end_component", lambda *_: None)
    with pytest.raises(OperationFailed) as told:
        action.run(run)
    assert "was started twice" not in str(told.value)


def test_new_files_go_with_the_manifest_that_named_them(rolled: Make) -> None:
    made, action, run = rolled(never(), api_server={"audit": {"policy": {"rules": [{"level": "None"}]}}})
    (path,) = living.config_of(made.hosts["cp1"].file(APISERVER))
    assert made.hosts["cp1"].file(path)
    with pytest.raises(OperationFailed):
        action.run(run)
    assert made.hosts["cp1"].state.paths[path] is None


def test_a_run_that_was_cut_off_is_taken_up_by_the_next(rolled: Make) -> None:
    """The manifest is as it shall be, but nobody has seen it serve."""
    made, _, _ = rolled(iter([None]))
    made.hosts["cp1"].overlay(Observation(paths={living.folder("kube-apiserver"): Entry(0o040700)}))
    made.begin()
    (action,) = actions(given(made, "cp1", control_plane.roll))
    assert isinstance(action, PodRolled)
    assert "cut off before it was seen to serve" in action.plan(talk(made, "cp1"))[0].why
    made.hosts["cp1"].commands[("rm", "-rf", "--", living.folder("kube-apiserver"))] = Completed(0)
    action.run(talk(made, "cp1"))


def test_one_whose_manifest_was_away_gets_it_before_it_is_waited_for(living_site: Make) -> None:
    """Power went while it was replaced: it came a play later otherwise, and nobody waited so long."""
    made = living_site()
    path = manifest_path("kube-scheduler")
    gone = Observation(paths={path: None, living.folder("kube-scheduler"): Entry(0o040700)}, hashes={path: None})
    made.hosts["cp1"].overlay(gone)
    made.begin()
    titles = [item.title for item in made.ask("cp1", control_plane.roll)]
    assert (titles[0], titles[-1]) == (f"file {path}", "pod kube-scheduler")


def test_what_was_good_survives_a_second_change(living_site: Make, rolled: Make) -> None:
    """Cut off, then changed again: what is put back is what was good, not what was never proved."""
    made, _, _ = rolled(iter([]))
    third = living_site(api_server={"extra_args": {"profiling": "true"}})
    third.hosts = made.hosts
    assert third.apply("cp1", control_plane.roll) == [f"file {APISERVER}"]
    assert b"profiling=true" in made.hosts["cp1"].file(APISERVER)
    assert b"profiling" not in made.hosts["cp1"].file(ASIDE)
