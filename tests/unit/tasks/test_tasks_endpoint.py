"""The way to the API on hosts in memory: who balances, what is left alone, what goes when the choice changes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from kubeforge.cluster.kinds import Obj
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.operations.model import Observation, UnitState
from kubeforge.pki import kubeconfigs
from kubeforge.spec.model import Endpoint
from kubeforge.spec.paths import (
    ADMIN_CONF,
    HAPROXY_CONFIG,
    HAPROXY_UNIT,
    KEEPALIVED_CONFIG,
    KEEPALIVED_UNIT,
    KUBELET_CLIENT_CURRENT,
    KUBELET_CONF,
)
from kubeforge.tasks import endpoint, kubelet, pki
from kubeforge.transport.memory import RUNNING

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}
VIRTUAL = {"endpoint": {"kind": "haproxy", "address": "192.0.2.9"}}
KUBE_VIP = {"endpoint": {"kind": "kube-vip", "address": "192.0.2.9"}}


def talk(made: Any, task: Any) -> Conversation:
    """Return the conversation of an action of this task on the worker."""
    return Conversation(
        context=made.context("w1", task),
        title="t",
        expected=Observation(),
        pending=False,
        connect=lambda host: made.hosts[host],
        events=Events([]),
        stopping=lambda: False,
    )


def titles(items: Any) -> list[str]:
    return [item.title for item in items]


def test_a_worker_of_several_control_planes_balances_for_itself(site: Make) -> None:
    made = site(control_planes=3, workers=1)
    assert made.apply("w1", endpoint.install) == ["unit haproxy.service", "package haproxy"]
    told = made.apply("w1", endpoint.balance)
    assert told[1:] == [f"file {HAPROXY_CONFIG}", f"file {HAPROXY_UNIT}", "unit kubeforge-haproxy.service"]
    made.begin()
    assert [made.changes("w1", one) for one in (endpoint.install, endpoint.balance, endpoint.retire)] == [[], [], []]
    assert [made.ask("cp1", one) for one in (endpoint.install, endpoint.balance, endpoint.retire)] == [[], [], []]


def test_one_control_plane_needs_no_balancer(site: Make) -> None:
    made = site()
    for name in ("cp1", "w1"):
        assert made.ask(name, endpoint.install) == made.ask(name, endpoint.balance) == []


def test_the_packages_own_unit_never_starts(site: Make) -> None:
    made = site(control_planes=3, workers=1)
    made.apply("w1", endpoint.install)
    assert made.hosts["w1"].state.units["haproxy.service"].load == "masked"


def test_a_haproxy_that_somebody_runs_is_left_alone(site: Make) -> None:
    made = site(control_planes=3, workers=1)
    made.hosts["w1"].overlay(Observation(units={"haproxy.service": RUNNING}))
    assert made.apply("w1", endpoint.install) == ["package haproxy"]
    assert made.hosts["w1"].state.units["haproxy.service"] == RUNNING


def test_a_control_plane_more_reaches_every_balancer(site: Make) -> None:
    made = site(control_planes=3, workers=1)
    made.apply("w1", endpoint.balance)
    other = site(control_planes=5, workers=1)
    other.hosts["w1"] = made.hosts["w1"]
    (config, unit) = other.changes("w1", endpoint.balance)
    assert config.title == f"file {HAPROXY_CONFIG}"
    assert (unit.title, unit.verb) == ("unit kubeforge-haproxy.service", "restart")


@pytest.mark.parametrize(("sizes", "on"), [({}, "cp2"), ({"load_balancers": 2}, "lb2")])
def test_balancers_that_share_an_address(site: Make, sizes: dict[str, int], on: str) -> None:
    made = site(control_planes=3, workers=1, **sizes, **VIRTUAL)
    assert "package keepalived" in made.apply(on, endpoint.install)
    assert "unit kubeforge-keepalived.service" in made.apply(on, endpoint.balance)
    assert made.changes(on, endpoint.balance) == []
    assert made.ask("w1", endpoint.balance) == []
    assert b"interface eth0" in made.hosts[on].file(KEEPALIVED_CONFIG)


def test_an_address_on_no_interface_is_said(site: Make) -> None:
    made = site(control_planes=3, facts={"addresses": {"eth0": ("198.51.100.1/24",)}}, **VIRTUAL)
    with pytest.raises(UnfitHost, match="no interface has its address"):
        made.ask("cp2", endpoint.balance)


def test_kube_vip_is_a_static_pod_of_control_planes(site: Make) -> None:
    made = site(control_planes=3, **KUBE_VIP)
    assert "file /etc/kubernetes/manifests/kube-vip.yaml" in made.apply("cp1", endpoint.balance)
    assert made.ask("w1", endpoint.balance) == []


def test_another_choice_retires_the_one_before(site: Make) -> None:
    made = site(control_planes=3, workers=1, **VIRTUAL)
    made.apply("cp1", endpoint.balance)
    made.sample = _with(made.sample, kind="localhost")
    told = titles(made.ask("cp1", endpoint.retire))
    assert told == [
        "endpoint.left",
        "unit kubeforge-keepalived.service",
        f"absent {KEEPALIVED_CONFIG}",
        f"absent {KEEPALIVED_UNIT}",
        "unit kubeforge-haproxy.service",
        f"absent {HAPROXY_CONFIG}",
        f"absent {HAPROXY_UNIT}",
    ]
    made.apply("cp1", endpoint.retire)
    assert made.hosts["cp1"].state.units["kubeforge-haproxy.service"].active == "inactive"
    assert made.ask("cp1", endpoint.retire) == []


def test_a_worker_that_joined_is_led_to_the_new_endpoint(site: Make) -> None:
    made = site(control_planes=3, workers=1, endpoint={"kind": "first"}, **ECDSA)
    made.apply("cp1", pki.control_plane)
    made.apply("w1", kubelet.configure)
    ca = made.hosts["cp1"].file("/etc/kubernetes/pki/ca.crt")
    made.hosts["w1"].put(KUBELET_CLIENT_CURRENT, b"by the kubelet")
    made.hosts["w1"].put(KUBELET_CONF, kubeconfigs.kubelet(cluster="c", server="192.0.2.11:6443", ca=ca, node="w1"))
    made.begin()
    made.apply("w1", kubelet.roll)
    assert made.changes("w1", kubelet.roll) == []
    made.sample = _with(made.sample, kind="localhost")
    made.begin()
    changes = made.changes("w1", kubelet.roll)
    assert [(change.title, change.verb) for change in changes] == [
        (f"file {KUBELET_CONF}", "update"),
        ("unit kubelet.service", "restart"),
    ]
    made.apply("w1", kubelet.roll)
    assert _server(made.hosts["w1"].file(KUBELET_CONF)) == "https://127.0.0.1:6443"
    made.begin()
    assert made.changes("w1", kubelet.roll) == []


def test_the_administrators_kubeconfig_leads_outside(site: Make) -> None:
    """`kubeadm token create --print-join-command` tells what admin.conf says."""
    made = site(control_planes=3, **ECDSA)
    made.apply("cp2", pki.control_plane)
    assert _server(made.hosts["cp2"].file(ADMIN_CONF)) == "https://192.0.2.12:6443"


def daemon_set(**status: int) -> Obj:
    metadata = {"name": "kube-proxy", "namespace": "kube-system", "generation": 2}
    return {"metadata": metadata, "status": status}


DONE = {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}


@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        (DONE, None),
        ({**DONE, "updatedNumberScheduled": 1}, "kube-system/kube-proxy: 1 of 2 pods are new"),
        ({**DONE, "observedGeneration": 1}, "kube-system/kube-proxy: 2 of 2 pods are new"),
    ],
)
def test_nothing_goes_while_a_pod_may_use_it(
    site: Make, monkeypatch: pytest.MonkeyPatch, status: dict[str, int], lacks: str | None
) -> None:
    class Api:
        def get(self, *_: str) -> Obj:
            return daemon_set(**status)

    class Access:
        def api(self, _run: Any) -> Api:
            return Api()

    monkeypatch.setattr(endpoint, "NODE_DEADLINE", 0.01)
    made = site(control_planes=3)
    made.vault.once("cluster.access", Access)
    run = talk(made, endpoint.retire)
    action = endpoint.RolledOut(workloads=(("DaemonSet", "kube-system", "kube-proxy"),))
    if lacks is None:
        assert titles(action.run(run)) == ["endpoint.left"]
    else:
        with pytest.raises(DeadlineExceeded, match=lacks):
            action.run(run)


EXTERNAL = {"kind": "external", "address": "192.0.2.9"}


def led_to(made: Any, server: str) -> None:
    """Let the worker be a node already."""
    made.hosts["w1"].put(KUBELET_CONF, kubeconfigs.kubelet(cluster="c", server=server, ca=b"a", node="w1"))


def test_nobody_is_led_to_a_balancer_that_does_not_answer(site: Make) -> None:
    made = site(control_planes=3, workers=1, endpoint=EXTERNAL)
    led_to(made, "127.0.0.1:6443")
    (action,) = made.ask("w1", endpoint.answers)
    with pytest.raises(UnfitHost, match=r"does not answer: 192\.0\.2\.9:6443: nothing listens") as raised:
        action.plan(talk(made, endpoint.answers))
    assert (raised.value.host, raised.value.step) == ("w1", "endpoint.answers")


def test_a_balancer_that_answers_is_no_obstacle(site: Make) -> None:
    made = site(control_planes=3, workers=1, endpoint=EXTERNAL)
    led_to(made, "127.0.0.1:6443")
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    made.hosts["w1"].tunnels["192.0.2.9", 6443] = lambda: ours
    (action,) = made.ask("w1", endpoint.answers)
    with theirs:
        assert action.plan(talk(made, endpoint.answers)) == []


def test_whom_nobody_asks_whether_a_balancer_answers(site: Make) -> None:
    """A birth, since nobody can answer yet; who is led there already; other kinds, whose balancers a run makes."""
    made = site(control_planes=3, workers=1, endpoint=EXTERNAL)
    assert made.ask("w1", endpoint.answers) == made.ask("cp1", endpoint.answers) == []
    led_to(made, "192.0.2.9:6443")
    assert made.ask("w1", endpoint.answers) == []
    made = site(control_planes=3, workers=1, **VIRTUAL)
    led_to(made, "127.0.0.1:6443")
    assert made.ask("w1", endpoint.answers) == []


def test_masked_before_is_ours(site: Make) -> None:
    made = site(control_planes=3, workers=1)
    made.hosts["w1"].overlay(
        Observation(units={"haproxy.service": UnitState(load="masked", active="inactive", file="masked")})
    )
    assert made.apply("w1", endpoint.install) == ["package haproxy"]


def _with(sample: Any, **values: Any) -> Any:

    return replace(sample, spec=sample.spec.model_copy(update={"endpoint": Endpoint(**values)}))


def _server(kubeconfig: bytes) -> str:
    server: str = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"]
    return server
