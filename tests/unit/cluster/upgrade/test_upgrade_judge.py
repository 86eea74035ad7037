"""What stands in the way of an upgrade: a case for every kind of problem, and none for a cluster that is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kubeforge.cluster.budgets import Budget
from kubeforge.cluster.status.model import Problem, Severity
from kubeforge.cluster.status.rows import Certificate, Running
from kubeforge.cluster.upgrade.model import Done, UpgradePlan, Verdict
from kubeforge.cluster.upgrade.obstacles import TABLE, check_ignored
from kubeforge.cluster.upgrade.seen import Arguments, Requested, Room, Written
from kubeforge.cluster.upgrade.supply import ImageAnswer
from kubeforge.errors import InputError

from .conftest import NEW, NOW, OLD, PLANE, Before, make

Case = Callable[[Before], None]


def kinds(plan: UpgradePlan) -> set[tuple[str, str]]:
    return {(one.kind, one.where) for one in plan.problems}


def the(plan: UpgradePlan, kind: str) -> Problem:
    (found,) = [one for one in plan.problems if one.kind == kind]
    return found


def amiss(made: Before) -> None:
    ill = Problem(kind="node-not-ready", severity=Severity.ERROR, where="w1", message="is not Ready", remedy="look")
    well = replace(ill, severity=Severity.WARNING, kind="node-pressure")
    made.status = replace(made.status, problems=(ill, well))


def certificate(name: str, days: float, *, authority: bool = False) -> Case:
    def change(made: Before) -> None:
        ends = NOW + timedelta(days=days)
        one = Certificate(
            host="cp1", name=name, path="/p", expires=ends, days=int(days), authority=authority, due=days < 30
        )
        made.status = replace(made.status, certificates=(one,))

    return change


def asked_for(removed: str, api: str = "networking.k8s.io/v1beta1") -> Case:
    def change(made: Before) -> None:
        one = Requested(api_version=api, resource="servicecidrs", removed=removed, hosts=("cp1", "cp3"))
        made.kubernetes = replace(made.kubernetes, requested=(one,))

    return change


def written(made: Before) -> None:
    one = Written(
        api_version="networking.k8s.io/v1beta1", resource="servicecidrs", removed="1.36", objects=("a", "b", "c"),
        count=5, managers=("helm",),
    )  # fmt: skip
    made.kubernetes = replace(made.kubernetes, written=(one,))


def room(free: int, **more: Any) -> Case:
    def change(made: Before) -> None:
        small = Room(mount="/", free=free << 20, size=40 << 30)
        made.seen_on("w1", store=small, image_store=small, **more)

    return change


def lacking(**what: Any) -> Case:
    return lambda made: made.lacking.update({NEW: what})


def blocked(made: Before) -> None:
    made.kubernetes = replace(made.kubernetes, budgets=(Budget(namespace="web", name="one", selector=None),))


def nothing(_: Before) -> None:
    """The cluster is in the way as it was made, or the version is."""


def status(**changes: Any) -> Case:
    def change(made: Before) -> None:
        made.status = replace(made.status, **changes)

    return change


def answered(*, there: bool | None) -> Case:
    return lambda made: made.answers.append(ImageAnswer(image="r/i:1", host="cp1", there=there, why="404"))


def from_long_ago(made: Before) -> None:
    for name in ("cp1", "cp2", "cp3"):
        made.runs(name, "1.33.2")


def silent_scheduler(made: Before) -> None:
    made.runs("cp1", "", "kube-scheduler")
    made.seen_on("cp1", pods={})


def refusing(made: Before) -> None:
    made.refused[NEW] = {"kube-apiserver": ("unknown flag: --old",), "kube-scheduler": ()}


def recorded(made: Before) -> None:
    made.kubernetes = replace(made.kubernetes, recorded="1.34.0")


def newer_dns(made: Before) -> None:
    *others, dns = made.status.addons
    made.status = replace(made.status, addons=(*others, replace(dns, version="1.15.0")))


OLD_FLAG = {"api_server": Arguments(flags=frozenset({"old-flag"}))}
LATER = NOW + timedelta(days=400)
CASES: dict[str, tuple[Case, str, str]] = {
    "downgrade": (lambda made: made.runs("cp2", "1.36.4", "kube-apiserver"), NEW, "cp2"),
    "no-way": (from_long_ago, NEW, ""),
    "version-not-known": (nothing, "1.36.9", "1.36.9"),
    "end-of-life": (status(asked=LATER, certificates=()), NEW, NEW),
    "half-done": (lambda made: made.runs("cp1", NEW), NEW, ""),
    "versions-mixed": (lambda made: made.runs("cp3", "1.36.1"), NEW, ""),
    "unhealthy": (amiss, NEW, "w1"),
    "run-active": (status(runs=(Running(host="cp1", kind="lock", what="x"),)), NEW, "cp1"),
    "skew": (lambda made: made.runs("w2", "1.32.9", "kubelet"), NEW, "w2"),
    "skew-now": (lambda made: made.runs("w2", NEW, "kubelet"), NEW, "w2"),
    "recorded-differs": (recorded, NEW, ""),
    "etcd-step": (lambda made: made.etcd("3.5.20", "cp1"), NEW, "cp1"),
    "not-seen": (lambda made: made.seen_on("w1", why="it was cut off"), NEW, "w1"),
    "unknown-version": (silent_scheduler, NEW, "cp1"),
    "spec-refused": (nothing, NEW, "api_server.feature_gates.TopologyAwareHints"),
    "arguments-refused": (refusing, NEW, "kube-apiserver"),
    "flag-lost": (lambda made: made.seen_on("cp1", arguments=OLD_FLAG), NEW, "cp1"),
    "flags-not-known": (nothing, "1.37.0", "1.37.0"),
    "api-requested": (asked_for("1.36"), NEW, "servicecidrs of networking.k8s.io/v1beta1"),
    "api-written": (written, NEW, "servicecidrs of networking.k8s.io/v1beta1"),
    "eviction-blocked": (blocked, NEW, "PodDisruptionBudget web/one"),
    "part-missing": (lacking(missing=("kubernetes 1.36.3: pinned is 1.36.2",)), NEW, "1.36.3 amd64"),
    "part-doubtful": (lacking(doubtful=("https://x does not answer",)), NEW, "1.36.3 amd64"),
    "image-missing": (answered(there=False), NEW, "cp1"),
    "image-doubtful": (answered(there=None), NEW, "cp1"),
    "compiles": (lacking(compiles=600), NEW, "1.36.3 amd64"),
    "room": (room(100), NEW, "w1"),
    "room-tight": (room(4000), NEW, "w1"),
    "room-not-known": (lambda made: made.seen_on("w1", store=None), NEW, "w1"),
    "certificate-ends": (certificate("apiserver", 20), NEW, "cp1"),
    "certificate-ended": (certificate("apiserver", 0.5), NEW, "cp1"),
    "authority-ends": (certificate("ca", 20, authority=True), NEW, "cp1"),
    "api-pauses": (nothing, NEW, "cp1"),
    "addon-goes-back": (newer_dns, NEW, "coredns"),
}
MADE: dict[str, dict[str, Any]] = {
    "spec-refused": {"api_server": {"feature_gates": {"TopologyAwareHints": True}}},
    "api-pauses": {"control_planes": 1},
}


def test_every_kind_has_a_case() -> None:
    assert set(CASES) == set(TABLE)


def test_nothing_is_in_the_way() -> None:
    plan = make().plan()
    assert plan.problems == ()
    assert (plan.verdict, plan.exit_code) == (Verdict.CAN_GO, 0)
    assert {one.done for one in plan.hosts} == {Done.NO}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind(kind: str) -> None:
    change, wanted, where = CASES[kind]
    made = make(**MADE.get(kind, {}))
    change(made)
    plan = made.plan(wanted)
    assert (kind, where) in kinds(plan)
    assert all(one.message and one.remedy and "{" not in one.remedy for one in plan.problems)
    bad = TABLE[kind].severity is Severity.ERROR
    assert the(plan, kind).severity is TABLE[kind].severity
    assert (plan.exit_code == 12) is bad, plan.blockers
    assert {one.kind for one in plan.blockers} <= ({kind} if bad else set())


def test_all_that_is_in_the_way_is_told_at_once() -> None:
    made = make(api_server={"feature_gates": {"TopologyAwareHints": True}})
    for kind in ("unhealthy", "run-active", "etcd-step", "api-requested", "part-missing", "room"):
        CASES[kind][0](made)
    plan = made.plan()
    found = {one.kind for one in plan.blockers}
    assert found == {
        "unhealthy", "run-active", "etcd-step", "api-requested", "part-missing", "room", "spec-refused",
    }  # fmt: skip
    assert plan.verdict is Verdict.BLOCKED
    severities = [one.severity for one in plan.problems]
    assert severities == sorted(severities, key=list(Severity).index)


def test_flags_of_etcd_that_are_fatal_later() -> None:
    made = make(etcd={"extra_args": {"experimental-compaction-batch-limit": "1000"}})
    assert "spec-refused" not in {one.kind for one in make().plan().problems}
    told = the(made.plan("1.37.0"), "spec-refused")
    assert told.where == "etcd.extra_args.experimental-compaction-batch-limit"
    assert told.message == "at 1.37.0: the etcd of 1.37 has no such flag and would not start"


def test_what_may_be_ignored_is_a_warning_then() -> None:
    made = make()
    asked_for("1.36")(made)
    amiss(made)
    assert made.plan().exit_code == 12
    plan = made.plan(ignored=("api-requested", "unhealthy"))
    assert (plan.exit_code, plan.blockers) == (0, ())
    assert the(plan, "api-requested").severity is Severity.WARNING


def test_names_that_cannot_be_ignored() -> None:
    check_ignored(["unhealthy", "api-requested"])
    with pytest.raises(InputError) as caught:
        check_ignored(["downgrade", "unhealty"])
    assert [one.message.partition(";")[0] for one in caught.value.problems] == [
        "downgrade cannot be ignored",
        "there is no kind of problem called unhealty",
    ]


def test_the_same_of_many_hosts_is_told_once() -> None:
    plan = make(NEW).plan(OLD)
    workers = [one for one in plan.problems if one.kind == "downgrade" and "w1" in one.where]
    assert [one.where for one in workers] == ["w1, w2"]
    assert "is older, and Kubernetes does not go back" in workers[0].message
    assert (plan.path, plan.exit_code) == ((), 12)


def test_a_minor_that_is_skipped_is_gone_through() -> None:
    plan = make().plan("1.37.0")
    assert [step.kubernetes for step in plan.path] == [NEW, "1.37.0"]
    assert [step.versions["etcd"] for step in plan.path] == ["3.6.16", "3.7.0"]


@pytest.mark.parametrize(
    ("removed", "told"), [("1.34", False), ("1.35", False), ("1.36", True), ("1.37", False), ("2", False)]
)
def test_only_what_goes_on_the_way_is_in_the_way(removed: str, told: bool) -> None:
    made = make()
    asked_for(removed)(made)
    assert bool(made.plan().blockers) is told


def test_what_somebody_else_left_half_way() -> None:
    """API servers two minors apart are in nobody's way but their own: one cannot go to where the other is."""
    made = make()
    made.runs("cp1", "1.37.0")
    plan = made.plan("1.37.0")
    assert ("skew", "") in kinds(plan)
    assert "API servers are 2 minors apart (1.35.4 on cp2, cp3; 1.37.0 on cp1)" in the(plan, "skew").message


def test_a_node_of_somebody_else_must_not_be_left_behind() -> None:
    made = make("1.36.3")
    made.join("other", "1.33.7")
    plan = made.plan("1.37.0")
    assert ("skew", "other") in kinds(plan)
    assert "hosts.yml" in the(plan, "skew").remedy
    assert [(one.host, one.roles, one.done) for one in plan.hosts][-1] == ("other", ("foreign",), Done.NO)
    assert all("other" not in one.hosts for one in plan.restarts), "it is left alone"


def test_a_half_done_upgrade_says_who_is_done() -> None:
    made = make()
    made.runs("cp1", NEW)
    made.runs("cp2", NEW, *PLANE)
    plan = made.plan()
    assert plan.half_done
    assert plan.verdict is Verdict.CAN_GO
    assert [(one.host, one.done) for one in plan.hosts] == [
        ("cp1", Done.YES), ("cp2", Done.PARTLY), ("cp3", Done.NO), ("w1", Done.NO), ("w2", Done.NO),
    ]  # fmt: skip
    told = the(plan, "half-done").message
    assert told == (
        "to 1.36.3 came already: cp1, cp2 (kube-apiserver, kube-controller-manager, kube-scheduler);"
        " still to come: cp2, cp3, w1, w2"
    )
    touched = {host for one in plan.restarts for host in one.hosts if one.what.startswith("kubelet")}
    assert touched == {"cp2", "cp3", "w1", "w2"}


def test_only_workers_are_behind() -> None:
    made = make()
    for name in ("cp1", "cp2", "cp3"):
        made.runs(name, NEW)
    plan = made.plan()
    assert (plan.now, [step.kubernetes for step in plan.path], plan.half_done) == (NEW, [NEW], True)
    assert [one.hosts for one in plan.restarts if one.what == "kubelet"] == [("w1",), ("w2",)]


def test_there_is_nothing_to_do() -> None:
    plan = make(NEW).plan(NEW)
    assert (plan.verdict, plan.exit_code, plan.path, plan.restarts, plan.seconds) == (Verdict.NOTHING, 0, (), (), 0.0)
    assert {one.done for one in plan.hosts} == {Done.YES}


def test_nobody_tells_any_version() -> None:
    made = make()
    for name in ("cp1", "cp2", "cp3", "w1", "w2"):
        made.runs(name, "")
        made.seen_on(name, programs={}, pods={})
    made.status = replace(made.status, kubernetes=replace(made.status.kubernetes, version="", problem="no answer"))
    plan = made.plan()
    assert plan.now == ""
    assert {"unknown-version", "not-seen"} <= {one.kind for one in plan.problems}


def test_binaries_that_were_asked_make_up_for_tables() -> None:
    made = make()
    made.refused["1.37.0"] = {"kube-apiserver": ()}
    assert made.plan("1.37.0").problems == ()


def test_as_data() -> None:
    made = make()
    made.runs("cp1", NEW)
    data = made.plan().to_data()
    assert (data["version"], data["verdict"], data["good"], data["half_done"]) == (1, "can-go", True, True)
    assert data["asked"] == "2026-11-22T12:00:00Z"
    assert data["hosts"][0]["done"] == "yes"
    assert data["problems"][0]["severity"] == "note"
    assert data["restarts"][0] == {
        "step": NEW, "turn": 1, "hosts": ["cp2"], "what": "kube-apiserver", "now": OLD, "then": NEW,
        "seconds": 12.0, "measured": "upgrade: 10.7 to 12.7, 4 of them to end in order",
    }  # fmt: skip
