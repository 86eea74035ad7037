"""Changing what lives: what is written when, what is kept, what goes back. On hosts in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.checks.model import Check
from kubeforge.cluster import programs, quorum
from kubeforge.cluster.processes import Process
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.engine.model import Action
from kubeforge.errors import ConnectionLost, DeadlineExceeded, OperationFailed, UnfitHost
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Entry, Observation, Queries, Verb, fold
from kubeforge.spec.paths import ETCD_MEMBER, KUBELET_CONFIG, PKI
from kubeforge.tasks import (
    addons,
    checks,
    control_plane,
    etcd,
    kubelet,
    kubelet_rolled,
    last_good,
    living,
    pki,
    rolling,
)
from kubeforge.tasks.kubelet_rolled import KubeletRolled
from kubeforge.tasks.objects import Objects
from kubeforge.tasks.rolling import ArgumentsTaken, PodRolled, Spared
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}
FOUNDED = (pki.control_plane, etcd.member, control_plane.server, kubelet.configure, control_plane.controllers)
ROLLED = (kubelet.roll, pki.roll, etcd.roll, control_plane.roll)
APISERVER = manifest_path("kube-apiserver")
ASIDE = "/var/lib/kubeforge/last-good/kube-apiserver/kube-apiserver.yaml"
NEW = {"api_server": {"extra_args": {"profiling": "false"}}}


def titles(items: Any) -> list[str]:
    return [item.title for item in items]


@pytest.fixture
def living_site(site: Make) -> Make:
    """Return `make(before, **after)`: a cluster that was founded with one spec and shall now have another."""

    def make(before: dict[str, Any] | None = None, *, control_planes: int = 1, **after: Any) -> Any:
        made = site(control_planes=control_planes, workers=1, **{**ECDSA, **(before or {})})
        planes = [host.name for host in made.sample.inventory.control_planes]
        for task in FOUNDED:
            decided = {name: made._decide(name, task) for name in planes}  # together, as a play does
            for name, (changes, seen) in decided.items():
                made.hosts[name].act(changes, seen, run_id="founded")
        for name in planes:
            made.hosts[name].overlay(
                Observation(paths={ETCD_MEMBER: Entry(0o040700)}, units={"kubelet.service": RUNNING})
            )
        wanted = site(control_planes=control_planes, workers=1, **{**ECDSA, **after})
        wanted.hosts = made.hosts
        return wanted

    return make


def given(made: Any, host: str, *tasks: Any) -> list[Any]:
    return [item for task in tasks or ROLLED for item in made.ask(host, task)]


def actions(items: list[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, Action) and not isinstance(item, KubeletRolled)]


def test_a_cluster_that_is_founded_has_nothing_to_roll(site: Make) -> None:
    made = site(control_planes=3, **ECDSA)
    assert actions(given(made, "cp1")) == []
    assert f"file {APISERVER}" in titles(made.ask("cp1", control_plane.server))


def test_what_lives_as_it_shall_has_nothing_to_roll(living_site: Make) -> None:
    made = living_site(control_planes=2)
    for host in ("cp1", "cp2"):
        items = given(made, host)
        assert actions(items) == []
        assert not [title for title in titles(items) if title.startswith("pod ")]


def test_a_changed_flag_is_written_only_where_its_host_has_its_turn(living_site: Make) -> None:
    made = living_site(control_planes=2, **NEW)
    for host in ("cp1", "cp2"):
        assert f"file {APISERVER}" not in titles(made.ask(host, control_plane.server))
        assert titles(made.ask(host, control_plane.roll)) == [
            "arguments of kube-apiserver",
            "control_plane.gate",
            f"file {APISERVER}",
            "pod kube-apiserver",
        ]
        assert made.ask(host, control_plane.ready) == [], "it may be silent because of what is to be changed"


def test_an_etcd_that_is_changed_later_is_not_waited_for_before(living_site: Make) -> None:
    made = living_site(etcd={"extra_args": {"quota-backend-bytes": "4294967296"}})
    assert made.ask("cp1", etcd.ready) == []
    assert made.ask("cp1", control_plane.ready) == []


@pytest.mark.parametrize("component", ["etcd", "kube-apiserver"])
def test_what_an_earlier_run_left_is_judged_before_anything_waits_for_it(living_site: Make, component: str) -> None:
    """It may never serve: then the old files must come back, not a deadline."""
    made = living_site()
    assert titles(made.ask("cp1", control_plane.ready)) == ["control_plane.ready"]
    made.hosts["cp1"].overlay(Observation(paths={living.folder(component): Entry(0o040700)}))
    made.begin()
    assert made.ask("cp1", control_plane.ready) == []
    assert f"pod {component}" in titles(given(made, "cp1"))
    assert (made.ask("cp1", etcd.ready) == []) is (component == "etcd")


def test_another_text_of_the_same_pod_restarts_nothing(living_site: Make) -> None:
    """The kubelet would not either, so nobody waits for it."""
    made = living_site(control_planes=2)
    text = made.hosts["cp2"].file(APISERVER) + b"# somebody was here\n"
    made.hosts["cp2"].write(APISERVER, text)
    made.begin()
    assert actions(given(made, "cp2", control_plane.roll)) == []
    assert made.apply("cp2", control_plane.server) == [f"file {APISERVER}"]


def test_a_manifest_that_is_no_pod_is_replaced_with_care(living_site: Make) -> None:
    made = living_site(control_planes=2)
    made.hosts["cp2"].write(APISERVER, b"kind: [Pod")
    made.begin()
    assert "pod kube-apiserver" in titles(made.ask("cp2", control_plane.roll))


def test_a_manifest_that_is_gone_stops_nobody_so_it_is_written_at_once(living_site: Make) -> None:
    made = living_site(control_planes=2)
    path = manifest_path("kube-scheduler")
    made.hosts["cp2"].overlay(Observation(paths={path: None}, hashes={path: None}))
    assert [f"file {path}"] == made.apply("cp2", control_plane.controllers)
    assert actions(given(made, "cp2")) == []


def test_a_founder_that_is_behind_the_others_is_not_rolled(living_site: Make) -> None:
    """A birth that was cut off: the other lives already, this one has no manifest yet."""
    made = living_site(control_planes=2)
    for name in ("kube-apiserver", "kube-controller-manager"):
        path = manifest_path(name)
        made.hosts["cp2"].overlay(Observation(paths={path: None}, hashes={path: None}))
    assert f"file {APISERVER}" in titles(made.ask("cp2", control_plane.server))
    assert actions(given(made, "cp2", control_plane.roll)) == []


def test_a_birth_that_never_served_is_put_right_at_once(site: Make) -> None:
    """Members that cannot serve alone must not wait for one another."""
    made = site(control_planes=2, **ECDSA)
    for host in ("cp1", "cp2"):
        made.apply(host, control_plane.server)
    again = site(control_planes=2, **ECDSA, **NEW)
    again.hosts = made.hosts
    assert again.apply("cp1", control_plane.server) == [f"file {APISERVER}"]
    assert given(again, "cp1", control_plane.roll) == []


def test_etcd_is_stopped_only_behind_a_gate_of_its_own(living_site: Make) -> None:
    made = living_site(control_planes=3, etcd={"extra_args": {"heartbeat-interval": "200"}})
    path = manifest_path("etcd")
    assert f"file {path}" not in titles(made.ask("cp1", etcd.member))
    _, gate, file, pod = made.ask("cp1", etcd.roll)
    assert isinstance(gate, Spared)
    assert (gate.etcd, len(gate.servers)) == (True, 3), "the API server beside it goes with it"
    assert (file.title, pod.title) == (f"file {path}", "pod etcd")


def test_new_names_reissue_certificates_host_by_host(living_site: Make) -> None:
    made = living_site(control_planes=2, pki={"algorithm": "ECDSA-P256", "api_server_sans": ["api.example"]})
    names = [f"file {PKI}/apiserver.key", f"file {PKI}/apiserver.crt"]
    assert not set(names) & set(titles(made.ask("cp2", pki.control_plane)))
    assert titles(made.ask("cp2", pki.roll)) == [*names, "pki.served"]
    assert made.apply("cp2", pki.roll) == names
    made.begin()
    assert made.ask("cp2", pki.roll) == []


def test_a_controllers_kubeconfig_that_expires_restarts_it(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = living_site({"pki": {"algorithm": "ECDSA-P256", "days": 20}})
    told = titles(made.ask("cp1", control_plane.roll))
    assert told == [
        "arguments of kube-controller-manager",
        f"file {manifest_path('kube-controller-manager')}",
        "file /etc/kubernetes/controller-manager.conf",
        "pod kube-controller-manager",
        "arguments of kube-scheduler",
        f"file {manifest_path('kube-scheduler')}",
        "file /etc/kubernetes/scheduler.conf",
        "pod kube-scheduler",
    ]
    changed = made.apply("cp1", control_plane.roll)
    assert changed == ["file /etc/kubernetes/controller-manager.conf", "file /etc/kubernetes/scheduler.conf"]
    assert "file /etc/kubernetes/scheduler.conf" not in titles(made.ask("cp1", pki.control_plane))


def test_files_of_the_api_server_come_first_and_go_last(living_site: Make) -> None:
    def audited(level: str) -> dict[str, Any]:
        return {"api_server": {"audit": {"policy": {"rules": [{"level": level}]}}}}

    made = living_site(audited("Metadata"), **audited("Request"))
    old = made.hosts["cp1"].file(APISERVER).decode().partition("audit-policy-file=")[2].splitlines()[0]
    written = made.apply("cp1", control_plane.server)
    (new,) = [title.removeprefix("file ") for title in written]
    assert "/audit-policy-" in new
    assert new != old
    told = titles(made.ask("cp1", control_plane.roll))
    assert told[-2:] == ["pod kube-apiserver", f"absent {old}"]


def test_the_kubelet_of_a_living_node_has_a_turn_of_its_own(living_site: Make) -> None:
    made = living_site(kubelet={"config": {"maxPods": 50}})
    assert made.ask("cp1", kubelet.configure) == []
    assert [unit.listens for unit in made.ask("cp1", kubelet.run)] == [()], "a kubelet that was stopped is started"
    items = made.ask("cp1", kubelet.roll)
    seen = made.hosts["cp1"].observe(Queries.merge(item.observe() for item in items if not isinstance(item, Action)))
    changes, after = fold([item for item in items if not isinstance(item, Action)], seen)
    assert titles(changes) == [f"file {KUBELET_CONFIG}", "unit kubelet.service"]
    action = items[-1]
    assert isinstance(action, KubeletRolled)
    assert titles(action.plan(talk(made, "cp1", expected=after))) == ["kubelet.serves"]
    assert action.plan(talk(made, "cp1")) == []


def test_a_file_of_a_kubelet_that_is_gone_is_written_at_once(living_site: Make) -> None:
    made = living_site()
    made.hosts["cp1"].overlay(Observation(paths={KUBELET_CONFIG: None}, hashes={KUBELET_CONFIG: None}))
    assert titles(made.ask("cp1", kubelet.configure)) == [f"file {KUBELET_CONFIG}"]


def talk(made: Any, name: str, *, expected: Observation | None = None, pending: bool = True) -> Conversation:
    return Conversation(
        context=made.context(name, control_plane.roll),
        title="t",
        expected=expected or Observation(),
        pending=pending,
        connect=lambda host: made.hosts[host],
        events=Events([]),
        stopping=lambda: False,
        run_id="r",
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 0.2)
    monkeypatch.setattr(rolling, "GATE_DEADLINE", 0.2)
    monkeypatch.setattr(kubelet_rolled, "COMPONENT_DEADLINE", 0.2)
    monkeypatch.setattr(rolling, "component_log", lambda _remote, name: [f"{name}: no"])
    monkeypatch.setattr(kubelet_rolled, "kubelet_log", lambda _remote: ["kubelet: no"])
    monkeypatch.setattr(rolling, "processes", lambda *_, **__: ())
    monkeypatch.setattr(kubelet_rolled, "processes", lambda *_, **__: ())
    monkeypatch.setattr(rolling, "starts", lambda *_: 0)


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
    end = ("sh", "-c", rolling._END, "sh", "TERM", "kube-apiserver")
    made.hosts["cp1"].commands[end] = Completed(0)
    action.run(run)
    assert (end in made.hosts["cp1"].ran) is not followed


def test_a_client_of_what_has_gone_is_killed_once(rolled: Make, living_site: Make) -> None:
    """An API server without its etcd: the kubelet would wait for its answers and start no etcd."""
    made, action, run = rolled(iter(["not yet", "not yet", None]))
    end = ("sh", "-c", rolling._END, "sh", "KILL", "kube-scheduler")
    made.hosts["cp1"].commands[end] = Completed(0)
    replace(action, client="kube-scheduler").run(run)
    assert made.hosts["cp1"].ran.count(end) == 1
    items = living_site(etcd={"extra_args": {"quota-backend-bytes": "4294967296"}}).ask("cp1", etcd.roll)
    assert [item.client for item in items if isinstance(item, PodRolled)] == ["kube-apiserver"]


def never(then: str | None = None) -> Iterator[str | None]:
    """Say no until the old manifest is back, then `then`."""
    while True:
        yield "it does not run" if not BACK else then


BACK: list[bool] = []


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


def test_what_was_good_survives_a_second_change(living_site: Make, rolled: Make) -> None:
    """Cut off, then changed again: what is put back is what was good, not what was never proved."""
    made, _, _ = rolled(iter([]))
    third = living_site(api_server={"extra_args": {"profiling": "true"}})
    third.hosts = made.hosts
    assert third.apply("cp1", control_plane.roll) == [f"file {APISERVER}"]
    assert b"profiling=true" in made.hosts["cp1"].file(APISERVER)
    assert b"profiling" not in made.hosts["cp1"].file(ASIDE)


# gates


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


MEMBERS = {f"m{n}": f"https://m{n}:2379" for n in range(1, 6)}


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


# what the binary itself says


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Completed(0, b"Kubernetes v1.36.3\n"), None),
        (Completed(1, b"", b"Error: unknown flag: --profilin\n"), "Error: unknown flag: --profilin"),
        (Completed(1, b"", b'E1121 "command failed" err="unrecognized feature gate: Foo"\n'), "unrecognized feature"),
        (Completed(2, b"", b"flag provided but not defined: -bad\nUsage:\n"), "flag provided but not defined: -bad"),
        (Completed(1, b"", b"ctr: image not found\n"), None),
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
    made.hosts["cp1"].commands[(*argv, *container["command"], "--version")] = answer
    if told is None:
        assert action.plan(talk(made, "cp1")) == []
        return
    with pytest.raises(UnfitHost, match="nothing was changed") as raised:
        action.plan(talk(made, "cp1"))
    assert told in raised.value.evidence[0]


def test_a_kubelet_that_does_not_come_up_has_its_old_files_back(living_site: Make, quick: None) -> None:
    made = living_site(kubelet={"config": {"maxPods": 50}})
    made.apply("cp1", kubelet.roll)
    assert b"maxPods: 50" in made.hosts["cp1"].file(KUBELET_CONFIG)
    action = made.ask("cp1", kubelet.roll)[-1]
    restarts = ("systemctl", "show", "-P", "NRestarts", "kubelet.service")
    made.hosts["cp1"].commands[restarts] = Completed(0, b"0\n")
    with pytest.raises(OperationFailed, match="what it ran with before was to be put back"):
        action.run(talk(made, "cp1"))
    assert b"maxPods" not in made.hosts["cp1"].file(KUBELET_CONFIG)
    assert made.hosts["cp1"].changes[-1].title == "unit kubelet.service"


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


def test_every_node_is_asked_once_an_api_server_restarts(living_site: Make) -> None:
    """It leaves its own Service for a moment, also on nodes where nothing else changes."""
    made = living_site(**NEW)
    asked: list[str] = []

    def ask(_remote: Any, _patience: float) -> str | None:
        asked.append("asked")
        return None

    gate = checks.Gate(check=Check(name="service", asks="it answers", ask=ask))
    assert gate.plan(talk(made, "w1")) == []
    run = talk(made, "cp1")
    restarts = next(item for item in made.ask("cp1", control_plane.roll) if isinstance(item, PodRolled))
    restarts.plan(run)
    assert titles(gate.plan(talk(made, "w1"))) == ["checks.service"]
    assert asked == ["asked"]
