"""What must hold, and what must be taken, before anything that lives is touched. On hosts in memory."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.checks.model import Check
from kubeforge.cluster import programs, quorum
from kubeforge.engine.model import Action
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.operations.model import Observation
from kubeforge.tasks import (
    addons,
    checks,
    control_plane,
    rolling,
)
from kubeforge.tasks.objects import Objects
from kubeforge.tasks.rolled_back import PodServes
from kubeforge.tasks.rolling import ArgumentsTaken, PodRolled, Spared
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import (
    APISERVER,
    NEW,
    Make,
    talk,
    titles,
)

MEMBERS = {f"m{n}": f"https://m{n}:2379" for n in range(1, 6)}


def gate_of(made: Any, host: str = "cp1", *, etcd_too: bool = False) -> Spared:
    servers = control_plane.api_servers(made.context(host, control_plane.roll))
    return Spared(name="gate", etcd=etcd_too, servers=servers)


@pytest.mark.parametrize(
    ("serving", "lacks"),
    [
        ({"192.0.2.11", "192.0.2.12"}, None),
        ({"192.0.2.11", "192.0.2.12", "192.0.2.13"}, None),
        ({"192.0.2.11"}, "no other API server serves: 192.0.2.12: down; 192.0.2.13: down"),
        ({"192.0.2.12"}, None),
        (set(), None),
    ],
    ids=["one other", "all", "this one alone", "not this one", "none"],
)
def test_the_last_api_server_is_not_stopped(
    living_site: Make, monkeypatch: pytest.MonkeyPatch, quick: None, serving: set[str], lacks: str | None
) -> None:
    made = living_site(control_planes=3, **NEW)
    monkeypatch.setattr(rolling, "lacks_answer", lambda _r, _p, *, address: None if address in serving else "down")
    gate = gate_of(made)
    if lacks is None:
        assert titles(gate.plan(talk(made, "cp1", pending=False))) == titles(gate.run(talk(made, "cp1"))) == ["gate"]
        return
    with pytest.raises(UnfitHost, match=lacks) as raised:
        gate.plan(talk(made, "cp1", pending=False))
    assert "nothing is changed here" in raised.value.cause
    assert titles(gate.plan(talk(made, "cp1"))) == ["gate"], "what comes before may change it"
    with pytest.raises(DeadlineExceeded, match=lacks):
        gate.run(talk(made, "cp1"))


def test_a_single_api_server_may_be_stopped(living_site: Make, quick: None) -> None:
    made = living_site(**NEW)
    assert titles(gate_of(made).plan(talk(made, "cp1", pending=False))) == ["gate"]


@pytest.mark.parametrize(
    ("members", "well", "lacks"),
    [
        ("m1", "", None),
        ("m1 m2", "m1 m2", None),
        ("m1 m2", "m1", "m2 does not serve, and 2 are members"),
        ("m1 m2 m3", "m1 m2 m3", None),
        ("m1 m2 m3", "m1 m3", "lose its quorum without this member: m2 does not serve, and 3 are members"),
        ("m1 m2 m3", "m2 m3", None),
        ("m1 m2 m3 m4 m5", "m1 m2 m3 m4", None),
        ("m1 m2 m3 m4 m5", "m1 m2 m3", "m4, m5 do not serve, and 5 are members"),
        ("m1 m2 m3", None, "etcd has no quorum: context deadline exceeded"),
    ],
)
def test_quorum(site: Make, monkeypatch: pytest.MonkeyPatch, members: str, well: str | None, lacks: str | None) -> None:
    from kubeforge.cluster.etcd import Member, NotYet

    listed = tuple(Member(id=n, name=n, peer_urls=(), client_urls=(MEMBERS[n],)) for n in members.split())

    def ask(*_: Any, **__: Any) -> tuple[Member, ...]:
        if well is None:
            raise NotYet("context deadline exceeded")
        return listed

    monkeypatch.setattr(quorum, "processes", lambda *_, **__: ("etcd",))
    monkeypatch.setattr(quorum, "members", ask)
    monkeypatch.setattr(quorum, "healthy", lambda *_: frozenset(MEMBERS[n] for n in (well or "").split()))
    told = quorum.lacks_quorum_without(site().hosts["cp1"], "m1", [MEMBERS[n] for n in members.split()])
    assert (told is None) == (lacks is None)
    assert lacks is None or lacks in str(told)


def test_a_member_that_does_not_run_may_always_be_changed(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "processes", lambda *_, **__: ())
    assert quorum.lacks_quorum_without(site().hosts["cp1"], "m1", list(MEMBERS.values())) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Completed(0, b"Kubernetes v1.36.3\n"), None),
        (Completed(1, b"", b"Error: unknown flag: --profilin\n"), "Error: unknown flag: --profilin"),
        (Completed(1, b"", b'E1121 "command failed" err="unrecognized feature gate: Foo"\n'), "unrecognized feature"),
        (Completed(2, b"", b"flag provided but not defined: -bad\nUsage:\n"), "flag provided but not defined: -bad"),
    ],
)
def test_the_binary_is_asked_before_anything_is_touched(
    living_site: Make, monkeypatch: pytest.MonkeyPatch, answer: Completed, told: str | None
) -> None:
    made = living_site(**NEW)
    action = made.ask("cp1", control_plane.roll)[0]
    assert isinstance(action, ArgumentsTaken)
    monkeypatch.setattr("kubeforge.cluster.programs.secrets.token_hex", lambda _: "x")
    container = action.pod["spec"]["containers"][0]
    argv = ("/usr/local/bin/ctr", "-n", "k8s.io", "run", "--rm", container["image"], "kubeforge-asks-x")
    command = (*argv, *container["command"], "--version")
    made.hosts["cp1"].commands[command] = answer
    if told is None:
        assert action.plan(talk(made, "cp1")) == []
        return
    with pytest.raises(UnfitHost, match="nothing was changed") as raised:
        action.plan(talk(made, "cp1"))
    assert told in raised.value.evidence[0]

    made.hosts["cp1"].commands[command] = Completed(1, b"", b'time="" level=warning msg="cgroup v1"\nctr: not found\n')
    assert action.plan(talk(made, "cp1", pending=False)) == []
    assert titles(action.plan(talk(made, "cp1"))) == [action.title], "its image may come with this run"
    listing = ("/usr/local/bin/ctr", "-n", "k8s.io", "images", "ls", "-q")
    made.hosts["cp1"].commands[listing] = Completed(0, f"other\n{container['image']}\n".encode())
    assert titles(action.run(talk(made, "cp1"))) == [action.title], "it is there and says nothing: its start will tell"
    made.hosts["cp1"].commands[listing] = Completed(0, b"other\n")
    with pytest.raises(UnfitHost, match="is not among its images; kube-apiserver was not touched"):
        action.run(talk(made, "cp1"))
    made.hosts["cp1"].commands[command] = answer
    with pytest.raises(UnfitHost, match="it was not touched"):
        action.run(talk(made, "cp1"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Completed(0), None),
        (
            Completed(0, b"", b'I1 "Using lenient decoding" err="strict decoding error: unknown field \\"x\\""\n'),
            "unknown",
        ),
        (Completed(1, b"", b'E1 "command failed" err="failed validate: Mode: Invalid value"\n'), "Invalid value"),
    ],
)
def test_kube_proxy_is_asked_about_its_configuration(
    site: Make, monkeypatch: pytest.MonkeyPatch, answer: Completed, told: str | None
) -> None:
    made = site()
    (action,) = addons.apply(made.context("cp1", addons.apply))
    assert isinstance(action, Objects)
    (config,) = [
        one for one in action.objects if one["metadata"]["name"] == "kube-proxy" and one["kind"] == "ConfigMap"
    ]
    monkeypatch.setattr("kubeforge.cluster.programs.secrets.token_hex", lambda _: "x")
    image = made.sample.images["kube-proxy"]
    given: list[bytes] = []

    def reply(stdin: bytes) -> Completed:
        given.append(stdin)
        return answer

    ctr = ("/usr/local/bin/ctr", "k8s.io", image, "kubeforge-asks-x")
    argv = ("sh", "-c", programs._WITH_CONFIG, "sh", *ctr, *programs._PROXY)
    made.hosts["cp1"].commands[argv] = reply
    run = talk(made, "cp1")
    assert action.judge is not None
    if told is None:
        action.judge(run, config)
    else:
        with pytest.raises(UnfitHost) as raised:
            action.judge(run, config)
        assert told in raised.value.evidence[0]
    assert given == [config["data"]["config.conf"].encode()]


@pytest.mark.parametrize("back", [False, True])
def test_every_node_is_asked_once_an_api_server_restarts(living_site: Make, back: bool) -> None:
    """It leaves its own Service for a moment, also on nodes where nothing else changes."""
    made = living_site(**NEW)
    asked: list[str] = []

    def ask(_remote: Any, _patience: float) -> str | None:
        asked.append("asked")
        return None

    gate = checks.Gate(check=Check(name="service", asks="it answers", ask=ask))
    assert gate.plan(talk(made, "w1")) == []
    if back:
        run = talk(made, "cp1", expected=Observation(changed=frozenset({f"restore {APISERVER}"})))
        restarts: Action = PodServes(component="kube-apiserver")
    else:
        run = talk(made, "cp1")
        restarts = next(item for item in made.ask("cp1", control_plane.roll) if isinstance(item, PodRolled))
    restarts.plan(run)
    assert titles(gate.plan(talk(made, "w1"))) == ["checks.service"]
    assert asked == ["asked"]
