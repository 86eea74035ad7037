"""An upgrade's plan on one screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from kubeforge.cluster.status.model import Problem, Severity
from kubeforge.cluster.upgrade.model import AddonStep, Choice, Done, HostStep, Need, Restart, Step, UpgradePlan
from kubeforge.report.upgrade import as_text

MEBI = 1 << 20
NOW = {"kubelet": "1.35.4", "containerd": "2.3.7", "runc": "", "cni": "1.9.1"}
PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
PLAN = UpgradePlan(
    cluster="demo",
    asked=datetime(2026, 11, 22, tzinfo=UTC),
    now="1.35.4",
    wanted="1.36.3",
    path=(Step(kubernetes="1.36.3", source="upstream", versions={"etcd": "3.6.16", "cni_plugins": "1.9.1"}),),
    choices=(
        Choice(kubernetes="1.36.3", steps=("1.36.3",), blocked=0, end_of_life="2027-06-28"),
        Choice(kubernetes="1.37.0", steps=("1.36.3", "1.37.0"), blocked=2, end_of_life="2027-10-28"),
    ),
    hosts=(
        HostStep(
            host="cp1",
            roles=("control-plane", "etcd"),
            done=Done.PARTLY,
            now={**NOW, "etcd": "3.6.16", **dict.fromkeys(PLANE, "1.36.3")},
        ),
        HostStep(host="w1", roles=("worker",), done=Done.NO, now=NOW),
    ),
    addons=(AddonStep(name="coredns", now="1.13.1", then="1.14.2"), AddonStep(name="bridge", now="", then="")),
    restarts=(
        Restart(
            step="1.36.3",
            turn=1,
            hosts=("cp1",),
            what="kubelet",
            now="1.35.4",
            then="1.36.3",
            seconds=1.6,
            measured="x",
        ),
        Restart(step="1.36.3", turn=2, hosts=(), what="coredns", now="1.13.1", then="1.14.2", seconds=3.3, measured=""),
    ),
    seconds=75.0,
    room=(
        Need(host="w1", mount="/", needed=100 * MEBI, free=5000 * MEBI, size=9000 * MEBI, estimated=False),
        Need(host="cp1", mount="/var", needed=900 * MEBI, free=800 * MEBI, size=9000 * MEBI, estimated=True),
    ),
)


def test_it_can_go() -> None:
    assert as_text(PLAN).splitlines() == [
        "Cluster demo, from Kubernetes v1.35.4 to v1.36.3: it can go",
        "",
        "COULD GO TO  BY WAY OF  IN THE WAY  SUPPORTED UNTIL",
        "1.36.3       -          -           2027-06-28",
        "1.37.0       1.36.3     2 problems  2027-10-28",
        "",
        "STEP    ETCD    CNI PLUGINS  PARTS FROM",
        "1.36.3  3.6.16  1.9.1        upstream",
        "",
        "HOST  ROLES               DONE    KUBELET  CONTROL PLANE  ETCD    CONTAINERD  RUNC  CNI",
        "cp1   control-plane,etcd  partly  1.35.4   1.36.3         3.6.16  2.3.7       -     1.9.1",
        "w1    worker              no      1.35.4   -              -       2.3.7       -     1.9.1",
        "",
        "ADDON    NOW     THEN",
        "coredns  1.13.1  1.14.2",
        "bridge   -       -",
        "",
        "ROOM ON  FILE SYSTEM  NEW PARTS      FREE",
        "cp1      /var         about 900 MiB  800 MiB",
        "w1       /            100 MiB        5000 MiB",
        "",
        "TURN  STEP    RESTARTS  ON           FROM    TO      AWAY",
        "1     1.36.3  kubelet   cp1          1.35.4  1.36.3  about 1.6 s",
        "2     1.36.3  coredns   the cluster  1.13.1  1.14.2  about 3.3 s (a guess)",
        "",
        "time         about 1 min 15 s in all, by figures of small clusters; drains and uploads come on top",
        "before       parts and images are on every node before anything stops",
    ]


def test_what_stands_in_the_way_comes_first() -> None:
    problem = Problem(
        kind="room", severity=Severity.ERROR, where="cp1", message="too little", remedy="free room on cp1"
    )
    note = Problem(kind="half-done", severity=Severity.NOTE, where="", message="came already: cp1", remedy="go on")
    lines = as_text(replace(PLAN, problems=(problem, note), half_done=True)).splitlines()
    assert lines[:5] == [
        "Cluster demo, from Kubernetes v1.35.4 to v1.36.3, which has begun: 1 problem in the way; nothing was changed",
        "  !! cp1: too little  (room)",
        "       next: free room on cp1",
        "   i came already: cp1  (half-done)",
        "       next: go on",
    ]


def test_nothing_to_do() -> None:
    text = as_text(UpgradePlan(cluster="demo", asked=PLAN.asked, now="1.36.3", wanted="1.36.3"))
    assert text == "Cluster demo runs Kubernetes v1.36.3: nothing to do\n"


def test_nobody_can_be_entered() -> None:
    text = as_text(UpgradePlan(cluster="demo", asked=PLAN.asked, now="", wanted="1.36.3", entered=False))
    assert text == "Cluster demo, to Kubernetes v1.36.3: no control plane can be entered\n"


def test_components_of_several_versions() -> None:
    mixed = {**NOW, **dict.fromkeys(PLANE, "1.35.4"), "kube-apiserver": "1.36.3"}
    text = as_text(replace(PLAN, hosts=(replace(PLAN.hosts[0], now=mixed),)))
    assert "api-server 1.36.3, controllers 1.35.4, scheduler 1.35.4" in text


def test_of_many_hosts_those_half_way_are_shown() -> None:
    many = tuple(replace(PLAN.hosts[1], host=f"w{number}", done=Done.YES) for number in range(100))
    plan = replace(PLAN, hosts=(*many, PLAN.hosts[0]), restarts=PLAN.restarts * 20)
    text = as_text(plan)
    assert "\ncp1   control-plane,etcd  partly" in text
    assert "… and 81 more (-v shows them)" in text
    assert "… and 20 more (-v shows them)" in text
    assert "more (-v" not in as_text(plan, everything=True)
