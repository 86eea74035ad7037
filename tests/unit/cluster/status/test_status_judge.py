"""Every kind of problem is found by exactly what makes it, and has a remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeforge.cluster.status.judge import judge
from kubeforge.cluster.status.model import ClusterStatus, Severity, Verdict
from kubeforge.cluster.status.remedies import TABLE
from kubeforge.cluster.status.rows import (
    Addon,
    Certificate,
    Component,
    Endpoint,
    Etcd,
    HostStatus,
    Kubernetes,
    Lookup,
    Member,
    Node,
    Running,
    Versions,
    Way,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PLANES = ("cp1", "cp2", "cp3")
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
MIB = 1 << 20


def host(name: str, **changes: Any) -> HostStatus:
    plane = name in PLANES
    good: dict[str, Any] = {
        "name": name,
        "roles": ("control-plane", "etcd") if plane else ("worker",),
        "kubelet": "active",
        "runtime": "active",
        "manifests": (*COMPONENTS, "etcd") if plane else (),
        "authority": "AA",
        "trusts": "AA",
    }
    return HostStatus(**{**good, **changes})


def node(name: str, **changes: Any) -> Node:
    good = {"name": name, "registered": True, "ready": True, "schedulable": True, "version": "1.36.3"}
    return Node(**{**good, **changes})


def member(name: str, **changes: Any) -> Member:
    good = {"host": name, "id": f"a{name[-1]}", "registered": True, "answers": True, "leader": name == "cp1"}
    return Member(**{**good, "size": 10 * MIB, "in_use": MIB, "quota": 2048 * MIB, **changes})


def certificate(**changes: Any) -> Certificate:
    good: dict[str, Any] = {"host": "cp1", "name": "apiserver", "path": "/pki/apiserver.crt", "days": 364}
    return Certificate(**{**good, "expires": NOW + timedelta(days=364), **changes})


GOOD = ClusterStatus(
    cluster="demo",
    asked=NOW,
    kubernetes=Kubernetes(wanted="1.36.3", version="1.36.3"),
    endpoint=Endpoint(
        kind="localhost",
        address="192.0.2.11:6443",
        ways=(Way(host="w1", server="https://127.0.0.1:6443", answers=True),),
    ),
    dns=tuple(Lookup(host=name, answers=True) for name in (*PLANES, "w1")),
    hosts=(*map(host, PLANES), host("w1")),
    nodes=(*map(node, PLANES), node("w1")),
    components=tuple(
        Component(host=name, component=one, ready=True, leader=name == "cp1", version="1.36.3")
        for name in PLANES
        for one in COMPONENTS
    ),
    etcd=Etcd(quorum=True, needed=2, leader="cp1", members=tuple(map(member, PLANES))),
    certificates=(certificate(),),
    versions=(Versions(component="kubelet", version="1.36.3", hosts=("w1",)),),
    addons=(Addon(name="coredns", workload="Deployment kube-system/coredns", desired=2, ready=2),),
)
DOWN = Kubernetes(wanted="1.36.3", problem="the API server does not answer")


def changed(status: ClusterStatus, field: str, name: str, **changes: Any) -> ClusterStatus:
    """Return a status with one of its rows changed."""
    key = "host" if field in ("components", "certificates") else "name"
    rows = [replace(one, **changes) if getattr(one, key) == name else one for one in getattr(status, field)]
    rest: dict[str, Any] = {field: tuple(rows)}
    return replace(status, **rest)


def etcd(*members: Member, **changes: Any) -> ClusterStatus:
    return replace(GOOD, etcd=replace(GOOD.etcd, members=members, **changes))


def lost(*members: Member) -> ClusterStatus:
    return replace(etcd(*members, quorum=False, leader=""), kubernetes=DOWN, components=())


SILENT = {"answers": False, "leader": False, "problem": "etcd does not run"}
LEADERLESS = {"leader": False, "problem": "it knows no leader"}
AWAY: dict[str, Any] = {
    "reachable": False,
    "problem": "no answer from 192.0.2.12 port 22",
    "kubelet": "",
    "runtime": "",
    "manifests": (),
    "authority": "",
    "trusts": "",
}

CASES: dict[str, tuple[ClusterStatus, dict[str, str]]] = {
    "nothing": (GOOD, {}),
    "api down": (
        replace(GOOD, kubernetes=DOWN, components=tuple(replace(one, ready=False) for one in GOOD.components[::3])),
        {"api-down": ""},
    ),
    "api refuses": (replace(GOOD, kubernetes=DOWN), {"api-refuses": ""}),
    "no admin.conf anywhere": (
        replace(
            GOOD,
            kubernetes=Kubernetes(wanted="1.36.3", problem="cp1: has no /etc/kubernetes/admin.conf"),
            hosts=tuple(replace(one, manifests=()) for one in GOOD.hosts),
            components=(),
        ),
        {"no-kubeconfig": ""},
    ),
    "no control plane to enter": (
        replace(
            GOOD,
            kubernetes=DOWN,
            hosts=(*(host(name, **AWAY) for name in PLANES), host("w1")),
            nodes=tuple(Node(name=one.name) for one in GOOD.nodes),
            components=tuple(replace(one, ready=None, leader=None) for one in GOOD.components),
            etcd=Etcd(members=tuple(Member(host=name, problem="its host cannot be asked") for name in PLANES)),
        ),
        {"control-plane-unreachable": "", **{f"host-unreachable {name}": name for name in PLANES}},
    ),
    "quorum lost": (
        lost(member("cp1", **LEADERLESS), member("cp2", **SILENT), member("cp3", **SILENT)),
        {"etcd-quorum-lost": "", "api-down-with-etcd": ""},
    ),
    "the only member is dead": (
        lost(member("cp1", **SILENT)),
        {"etcd-member-down": "cp1", "api-down-with-etcd": ""},
    ),
    "a member is dead": (
        etcd(member("cp1"), member("cp2", **SILENT), member("cp3")),
        {"etcd-member-down": "cp2"},
    ),
    "a member without data": (
        etcd(member("cp1"), member("cp2", **SILENT, has_data=False), member("cp3")),
        {"etcd-data-lost": "cp2"},
    ),
    "most members without data": (
        lost(member("cp1", **LEADERLESS), *(member(name, **SILENT, has_data=False) for name in ("cp2", "cp3"))),
        {"etcd-quorum-lost": "", "api-down-with-etcd": ""},
    ),
    "the only member without data": (
        lost(member("cp1", **SILENT, has_data=False)),
        {"etcd-member-down": "cp1", "api-down-with-etcd": ""},
    ),
    "a member alone": (etcd(member("cp1"), member("cp2", **LEADERLESS), member("cp3")), {"etcd-member-down": "cp2"}),
    "a member struck off": (
        etcd(member("cp1"), member("cp2"), member("cp3", registered=False)),
        {"etcd-member-missing": "cp3"},
    ),
    "a learner": (etcd(member("cp1"), member("cp2", learner=True)), {"etcd-learner": "cp2"}),
    "a member that lags": (etcd(member("cp1"), member("cp2", lag=1001)), {"etcd-lags": "cp2"}),
    "a few entries are no lag": (etcd(member("cp1"), member("cp2", lag=40)), {}),
    "nearly full": (etcd(member("cp1", size=1700 * MIB)), {"etcd-nearly-full": "cp1"}),
    "full": (etcd(member("cp1", size=2048 * MIB, alarms=("NOSPACE",))), {"etcd-nospace": ""}),
    "corrupt": (etcd(member("cp1"), member("cp2", alarms=("CORRUPT",))), {"etcd-corrupt": "cp2"}),
    "somebody else's member": (
        etcd(member("cp1"), member("cp9", in_inventory=False, answers=None)),
        {"etcd-member-foreign": "cp9"},
    ),
    "a member that never started": (
        etcd(member("cp1"), Member(host="", id="b7", in_inventory=False, registered=True, problem="never started")),
        {"etcd-member-unstarted": ""},
    ),
    "a host is away": (
        changed(changed(GOOD, "hosts", "w1", **AWAY), "nodes", "w1", ready=False, problem="Kubelet stopped posting"),
        {"host-unreachable": "w1"},
    ),
    "a balancer stopped": (
        changed(GOOD, "hosts", "w1", balancer={"kubeforge-haproxy.service": "failed"}),
        {"balancer-down": "w1"},
    ),
    "a kubelet stopped": (
        changed(changed(GOOD, "hosts", "w1", kubelet="failed"), "nodes", "w1", ready=False, problem="stopped"),
        {"kubelet-down": "w1"},
    ),
    "containerd stopped": (changed(GOOD, "hosts", "w1", runtime="inactive"), {"runtime-down": "w1"}),
    "not joined": (
        changed(GOOD, "nodes", "w1", registered=False, ready=None, schedulable=None),
        {"node-missing": "w1"},
    ),
    "not ready": (changed(GOOD, "nodes", "w1", ready=False, problem="no network"), {"node-not-ready": "w1"}),
    "pressure": (changed(GOOD, "nodes", "w1", pressure=("DiskPressure",)), {"node-pressure": "w1"}),
    "cordoned": (changed(GOOD, "nodes", "w1", schedulable=False), {"node-cordoned": "w1"}),
    "joined by others": (
        replace(GOOD, nodes=(*GOOD.nodes, node("w9", in_inventory=False))),
        {"node-foreign": "w9"},
    ),
    "joined by others and sick": (
        replace(GOOD, nodes=(*GOOD.nodes, node("w9", in_inventory=False, ready=False, problem="x"))),
        {"node-foreign": "w9", "node-not-ready": "w9"},
    ),
    "a request waits": (changed(GOOD, "nodes", "w1", waiting="csr-7"), {"serving-certificate-waits": "w1"}),
    "a component is down": (
        replace(
            GOOD,
            components=tuple(
                replace(one, ready=False, problem="not ready: etcd")
                if (one.host, one.component) == ("cp2", "kube-apiserver")
                else one
                for one in GOOD.components
            ),
        ),
        {"component-down": "cp2"},
    ),
    "a manifest is missing": (
        replace(
            changed(GOOD, "hosts", "cp2", manifests=("kube-apiserver", "kube-controller-manager", "etcd")),
            components=tuple(
                replace(one, ready=False, problem="does not run")
                if (one.host, one.component) == ("cp2", "kube-scheduler")
                else one
                for one in GOOD.components
            ),
        ),
        {"component-missing": "cp2"},
    ),
    "nobody leads": (
        replace(
            GOOD,
            components=tuple(
                replace(one, leader=False) if one.component == "kube-scheduler" else one for one in GOOD.components
            ),
        ),
        {"component-leaderless": ""},
    ),
    "endpoint": (
        replace(
            GOOD,
            endpoint=replace(GOOD.endpoint, ways=(Way(host="w1", server="https://x", answers=False, problem="no"),)),
        ),
        {"endpoint-silent": "w1"},
    ),
    "dns": (
        replace(GOOD, dns=(*GOOD.dns[:-1], Lookup(host="w1", answers=False, problem="no"))),
        {"dns-silent": "w1"},
    ),
    "another authority": (changed(GOOD, "hosts", "w1", authority="BB"), {"authority-foreign": "w1"}),
    "expired": (replace(GOOD, certificates=(certificate(days=-3, due=True),)), {"certificate-expired": "cp1"}),
    "ends soon": (replace(GOOD, certificates=(certificate(days=20, due=True),)), {"certificate-expires": "cp1"}),
    "not a certificate": (
        replace(GOOD, certificates=(certificate(days=None, expires=None),)),
        {"certificate-unreadable": "cp1"},
    ),
    "a kubelet's expired": (
        replace(GOOD, certificates=(certificate(days=-1, due=True, rotates=True, name="kubelet-client"),)),
        {"kubelet-certificate-expired": "cp1"},
    ),
    "a kubelet's ends": (
        replace(GOOD, certificates=(certificate(days=2, due=True, rotates=True),)),
        {"kubelet-certificate-not-rotated": "cp1"},
    ),
    "authority ends": (
        replace(GOOD, certificates=(certificate(days=90, due=True, authority=True),)),
        {"authority-expires": "cp1"},
    ),
    "authority ended": (
        replace(GOOD, certificates=(certificate(days=-1, due=True, authority=True),)),
        {"authority-expired": "cp1"},
    ),
    "skew": (
        replace(
            GOOD, versions=(Versions(component="kubelet", version="1.32.0", hosts=("w1",), skew="4 minors older"),)
        ),
        {"version-skew": "w1"},
    ),
    "another patch": (
        replace(GOOD, versions=(Versions(component="kubelet", version="1.36.1", hosts=("w1", "w2")),)),
        {"version-differs": "w1,w2"},
    ),
    "no addon": (
        replace(GOOD, addons=(Addon(name="coredns", workload="Deployment kube-system/coredns", problem="missing"),)),
        {"addon-missing": "coredns"},
    ),
    "addon not ready": (
        replace(GOOD, addons=(replace(GOOD.addons[0], ready=1, problem="1 of 2 pods are ready"),)),
        {"addon-not-ready": "coredns"},
    ),
    "an invitation": (replace(GOOD, invitations=("abcdef",)), {"certificate-key-expired": ""}),
    "a run works": (replace(GOOD, runs=(Running(host="cp1", kind="lock", what="x"),)), {"run-active": "cp1"}),
    "a run was cut off": (
        replace(GOOD, runs=(Running(host="w1", kind="interrupted", what="x"),)),
        {"run-interrupted": "w1"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_problems(case: str) -> None:
    status, expected = CASES[case]
    found = judge(status)
    assert sorted((one.kind, one.where) for one in found) == sorted(
        (kind.partition(" ")[0], where) for kind, where in expected.items()
    )
    for one in found:
        assert one.remedy
        assert "{" not in one.remedy, "all names are filled in"
        assert one.message[0] not in ":;,"


def test_every_row_of_the_table_has_a_case() -> None:
    assert {kind.partition(" ")[0] for _, expected in CASES.values() for kind in expected} == set(TABLE)


def verdict(status: ClusterStatus) -> tuple[Verdict, int]:
    judged = replace(status, problems=judge(status))
    return judged.verdict, judged.exit_code


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("nothing", (Verdict.HEALTHY, 0)),
        ("ends soon", (Verdict.HEALTHY, 0)),
        ("joined by others", (Verdict.HEALTHY, 0)),
        ("a host is away", (Verdict.DEGRADED, 1)),
        ("full", (Verdict.DEGRADED, 1)),
        ("quorum lost", (Verdict.DOWN, 16)),
        ("api down", (Verdict.DOWN, 16)),
        ("no control plane to enter", (Verdict.UNREACHABLE, 11)),
    ],
)
def test_the_exit_code_tells_the_class(case: str, expected: tuple[Verdict, int]) -> None:
    assert verdict(CASES[case][0]) == expected


def test_the_worst_comes_first() -> None:
    status, _ = CASES["quorum lost"]
    both = replace(status, certificates=(certificate(days=20, due=True),))
    severities = [one.severity for one in judge(both)]
    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[-1] is Severity.WARNING


def test_a_lost_quorum_says_who_is_missing_and_how_it_is_recovered() -> None:
    problem = next(one for one in judge(CASES["quorum lost"][0]) if one.kind == "etcd-quorum-lost")
    assert "1 of 3 members answer, 2 are needed; missing: cp2 (etcd does not run), cp3" in problem.message
    assert problem.remedy.startswith("bring cp2, cp3 back")
    assert problem.remedy.endswith("kubeforge etcd recover --from cp1, then kubeforge apply")


@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_of_one_and_one_the_stranger_is_known_by_what_kubelets_trust(name: str) -> None:
    status = changed(replace(GOOD, hosts=(host("cp1"), host("w1"))), "hosts", name, authority="BB")
    (problem,) = judge(status)
    assert (problem.kind, problem.where) == ("authority-foreign", name)
    assert "SHA-256 BB, not AA" in problem.message


@pytest.mark.parametrize(
    ("kind", "mend"), [("external", "make the balancer at 192.0.2.11:6443 lead"), ("localhost", "kubeforge apply")]
)
def test_who_mends_the_endpoint_depends_on_its_kind(kind: str, mend: str) -> None:
    way = Way(host="w1", server="https://x", answers=False, problem="no")
    status = replace(GOOD, endpoint=Endpoint(kind=kind, address="192.0.2.11:6443", ways=(way,)))
    (problem,) = judge(status)
    assert problem.remedy.startswith(mend)


@pytest.mark.parametrize(("kind", "mend"), [("external", "make the balancer at"), ("haproxy", "kubeforge apply puts")])
def test_an_address_that_answers_nobody_is_said_once(kind: str, mend: str) -> None:
    ways = tuple(Way(host=name, server="https://192.0.2.9:6443", answers=False, problem="no") for name in ("cp1", "w1"))
    status = replace(GOOD, endpoint=Endpoint(kind=kind, address="192.0.2.9:6443", ways=ways))
    (problem,) = judge(status)
    assert (problem.kind, problem.where) == ("endpoint-silent", "")
    assert problem.remedy.startswith(mend)
    some = replace(status, endpoint=replace(status.endpoint, ways=(replace(ways[0], answers=True), ways[1])))
    assert [one.where for one in judge(some)] == ["w1"]


def test_dns_that_answers_nobody_is_said_once_and_only_where_nothing_else_is_the_cause() -> None:
    deaf = replace(GOOD, dns=tuple(replace(one, answers=False, problem="no") for one in GOOD.dns))
    (problem,) = judge(deaf)
    assert (problem.kind, problem.where) == ("dns-silent", "")
    assert "spec.nodeName=cp1" in problem.remedy
    for status in (
        replace(deaf, kubernetes=DOWN),
        changed(deaf, "addons", "coredns", ready=1, problem="1 of 2 pods are ready"),
        changed(deaf, "nodes", "w1", ready=False, problem="it said so"),
        changed(deaf, "hosts", "w1", **AWAY),
    ):
        assert "dns-silent" not in {one.kind for one in judge(status)}


def test_external_members_have_a_journal_and_no_pod_logs() -> None:
    """Their hosts are no nodes."""
    status = replace(
        etcd(member("cp1"), member("e2", **SILENT)), hosts=(*GOOD.hosts, host("e2", roles=("etcd",), kubelet="active"))
    )
    (problem,) = judge(status)
    assert "kubeforge ssh e2 journalctl -u etcd" in problem.remedy


def test_kinds_are_words_that_programs_can_keep() -> None:
    assert all(kind == kind.lower() and " " not in kind for kind in TABLE)


def test_every_command_that_a_remedy_names_is_one() -> None:
    from kubeforge.cli import VERBS

    named = {verb for row in TABLE.values() for verb in re.findall(r"kubeforge ([a-z]+)", row.remedy)}
    assert {"apply", "etcd", "kubectl", "reset", "ssh"} <= named
    assert named - set(VERBS) <= {"look", "can", "cannot"}, "words of sentences"
