"""Shipped playbooks, planned as a whole on a cluster in memory whose API nobody reaches: what comes in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.engine.model import Facts
from kubeforge.engine.plan import Plan
from kubeforge.engine.run import Session
from kubeforge.errors import AuthenticationFailed, ConnectionFailed
from kubeforge.operations.model import Entry, Observation, Queries
from kubeforge.pki.kubeconfigs import kubelet as kubelet_conf
from kubeforge.resources import playbook
from kubeforge.spec.paths import ADMIN_CONF, ETCD_WAL, KUBELET_CLIENT_CURRENT, KUBELET_CONF, PKI, SUPER_ADMIN_CONF
from kubeforge.tasks import trust
from kubeforge.tasks.renewal import RENEW
from kubeforge.transport.base import ByteSocket, Completed
from kubeforge.transport.memory import MemoryHost
from tests.unit.tasks.conftest import parts
from tests.unit.tasks.test_tasks_moving import move

Make = Callable[..., Any]


class Silent(MemoryHost):
    """A host whose commands do nothing, where nobody has an administrator's kubeconfig, and nothing listens."""

    def run(self, argv: Any, **_: Any) -> Completed:
        if SUPER_ADMIN_CONF in argv and ADMIN_CONF in argv:
            return Completed(66)
        return Completed(1) if any("etcd" in word for word in argv) else Completed(0, b"1 1 1\n\n")

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        raise ConnectionRefusedError(f"{host}:{port}: nothing listens")


class Fleet:
    """The hosts of a site, as a session gets them."""

    def __init__(self, made: Any) -> None:
        self.made, self.hosts = made, {name: Silent(name) for name in made.hosts}
        certificate = made.hosts["cp1"].file(f"{PKI}/apiserver.crt")
        for name, host in made.hosts.items():
            vars(self.hosts[name]).update(vars(host))  # the same files and units
            self.hosts[name].commands["sh",] = Completed(0, certificate)  # public part of what a kubelet has

    def remote(self, host: str) -> MemoryHost:
        return self.hosts[host]

    def open_stream(self, host: str, command: str) -> ByteSocket:
        raise NotImplementedError

    def release(self, host: str) -> None:
        pass

    def close(self) -> None:
        pass

    def reader(self, remote: Any, reads: Queries, _: Any) -> tuple[Facts, Observation]:
        host = self.made.sample.inventory.hosts[remote.host]
        facts = replace(self.made.sample.facts[remote.host], addresses={"eth0": (f"{host.address}/24",)})
        return facts, remote.observe(reads)


def planned(made: Any, name: str, **variables: str) -> Plan:
    plan = session_of(made, name, Fleet(made), **variables).plan()
    assert plan.failures == ()
    return plan


def session_of(made: Any, name: str, fleet: Fleet, **variables: str) -> Session:
    return Session(
        inventory=made.sample.inventory,
        playbook=playbook(name),
        registry=tasks.load(),
        spec=made.sample.spec,
        artifacts=parts(made.sample.images),
        variables=variables,
        remotes=fleet,
        reader=fleet.reader,
        exclusive=False,
        record=False,
    )


def lines(plan: Plan, host: str) -> list[tuple[str, str]]:
    """Return play and title of every change of a host, in order."""
    return [(step.play, change.title) for step in plan.steps if step.host == host for change in step.changes]


@pytest.fixture
def trio(living_site: Make) -> Any:
    """Three control planes and a worker that have lived for a while."""
    made = living_site(control_planes=3)
    for name, host in made.hosts.items():
        if name != "w1":
            host.overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}))
    ca = made.hosts["cp1"].file(f"{PKI}/ca.crt")
    made.hosts["w1"].put(KUBELET_CONF, kubelet_conf(cluster="c", server="127.0.0.1:6443", ca=ca, node="w1"))
    made.hosts["w1"].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o120777, target="x")}))
    return made


def test_what_follows_new_addresses_is_planned_in_order(trio: Any) -> None:
    plan = planned(move(trio, cp1="192.0.2.91", cp2="192.0.2.92", cp3="192.0.2.93"), "apply")
    for host in ("cp1", "cp2", "cp3"):
        told = [title for _, title in lines(plan, host)]
        wanted = [
            "address",
            f"file {PKI}/apiserver.crt",
            f"file {PKI}/etcd/peer.crt",
            "file /etc/kubernetes/kubelet.conf",
            "file /etc/kubernetes/manifests/etcd.yaml",
            "file /etc/kubernetes/manifests/kube-apiserver.yaml",
            "unit kubelet.service",
            "etcd.addresses",
            "etcd.ready",
            "control_plane.ready",
            f"node {host}",
            "addresses.pods",
            "addresses.settled",
        ]
        assert [title for title in told if title in wanted] == wanted
        assert not [title for title in told if title.startswith(("pod ", "pki.served", "kubelet.serves"))], "no rolls"
    assert "file /etc/kubeforge/haproxy.cfg" in [title for _, title in lines(plan, "w1")]
    assert "address" not in [title for _, title in lines(plan, "w1")]


def test_one_that_moved_is_mended_and_the_others_go_on(trio: Any) -> None:
    plan = planned(move(trio, cp2="192.0.2.92"), "apply")
    told = {host: [title for _, title in lines(plan, host)] for host in ("cp1", "cp2", "cp3")}
    assert "address" in told["cp2"]
    for host in ("cp1", "cp3"):
        changed = [title for title in told[host] if "/etc/kubernetes/" in title]
        assert changed == [], "nothing of theirs names another host"
        assert "unit kubelet.service" not in told[host]


def test_ended_certificates_are_planned_everywhere_before_any_turn(trio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime.now(tz=UTC) + timedelta(days=500)

    monkeypatch.setattr(trust, "datetime", SimpleNamespace(now=lambda **_: at))
    plan = planned(trio, "certs-renew", **{RENEW: "due"})
    mended, turn = "Replace what has ended, everywhere", "Renew the others, one host at a time"
    for host in ("cp1", "cp2", "cp3"):
        told = lines(plan, host)
        assert (mended, f"file {PKI}/etcd/peer.crt") in told
        assert (mended, f"file {PKI}/apiserver.crt") in told
        titles = [title for play, title in told if play == turn]
        order = ["pki.served", "control_plane.ready", "pod kube-controller-manager", "pod kube-scheduler"]
        assert [title for title in titles if title in order] == order
    plays = [step.play for step in plan.steps]
    assert plays.index(turn) > max(number for number, play in enumerate(plays) if play == mended)


def test_nothing_is_planned_where_nothing_is_due(trio: Any) -> None:
    plan = planned(trio, "certs-renew", **{RENEW: "due"})
    assert [step.step for step in plan.steps if step.step != "control_plane.ready"] == []


def without(made: Any, *silent: str, error: type[ConnectionFailed] = ConnectionFailed) -> tuple[Plan, bool]:
    """Plan a renewal of everything while hosts do not answer; say also whether nothing of it may be done."""
    fleet = Fleet(made)

    def ask(host: str) -> MemoryHost:
        if host in silent:
            raise error("no answer", host=host, step="connect")
        return fleet.hosts[host]

    fleet.remote = ask  # type: ignore[method-assign]
    session = session_of(made, "certs-renew", fleet, **{RENEW: "all"})
    plan = session.plan()
    return plan, session.blocked(plan)


@pytest.mark.parametrize("dead", ["cp1", "cp3"])
def test_a_dead_control_plane_does_not_keep_the_others_from_renewal(trio: Any, dead: str) -> None:
    plan, blocked = without(trio, dead)
    assert not blocked
    assert {failure.host for failure in plan.failures} == {dead}
    assert plan.exit_code == 11
    for host in {"cp1", "cp2", "cp3"} - {dead}:
        titles = [title for _, title in lines(plan, host)]
        assert {f"file {PKI}/apiserver.crt", "pki.served", "pod kube-scheduler"} <= set(titles)
    assert lines(plan, dead) == []


def test_a_host_that_answers_and_lets_nobody_in_is_not_left_out(trio: Any) -> None:
    plan, blocked = without(trio, "cp2", error=AuthenticationFailed)
    assert (blocked, plan.exit_code) == (True, 11)


def test_whether_a_cluster_lives_is_not_guessed(living_site: Make) -> None:
    made = living_site({"etcd_hosts": 3}, etcd_hosts=3)
    plan, blocked = without(made, "cp1")
    assert blocked
    told = {failure.host: failure.cause for failure in plan.failures}
    assert told["cp1"] == "no answer"
    assert {told[host] for host in ("e1", "e2", "e3")} == {"no control plane that answers shows that a cluster lives"}
