"""The playbooks of upgrades on a cluster in memory: every task can be asked, and what comes out is in order."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge import resources, tasks
from kubeforge.engine.events import Failure
from kubeforge.engine.playbook import Playbook
from kubeforge.engine.playbook_loader import load
from kubeforge.engine.program import Batch, compile_host
from kubeforge.engine.roster import roster
from kubeforge.errors import UnfitHost
from kubeforge.operations.model import Queries
from kubeforge.tasks import parking, upgrade, upgrade_record
from kubeforge.tasks.upgrade_record import WHOLE
from tests.unit.tasks.rolling_site import Make
from tests.unit.tasks.upgrade_site import NEW, OLD, Upgrading

REGISTRY = tasks.load()


def book(name: str) -> Playbook:
    return load(resources.playbook(name), REGISTRY)


@pytest.fixture
def upgrading(site: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    return lambda **values: Upgrading(site, **values)


def steps(cluster: Upgrading, name: str, host: str, **variables: str) -> dict[str, list[str]]:
    """Return play -> titles of the host's operations and actions, by the engine's own compiler."""
    playbook, made = book(name), cluster.made
    who = roster(playbook, made.sample.inventory)
    everything = {call.name for play in playbook.plays for call in play.tasks}
    reads = [REGISTRY[one].reads for one in everything]

    def asked(inventory: Any, one: Any) -> Any:
        return Queries.merge(read(inventory, one) for read in reads if read is not None)

    marker: Any = type("Task", (), {"__kubeforge_task__": type("Mark", (), {"reads": staticmethod(asked)})})
    context = made.context(host, marker, vars=variables)
    parts = compile_host(((number, play, context) for number, play in who.plays_of(host)), REGISTRY)
    assert not isinstance(parts, Failure), parts
    return {
        playbook.plays[number].name: [
            title
            for step in found
            for title in ([one.title for one in step.operations] if isinstance(step, Batch) else [step.title])
        ]
        for number, found in parts.items()
    }


@pytest.mark.parametrize("control_planes", [1, 3])
def test_an_upgrade(upgrading: Make, control_planes: int) -> None:
    cluster = upgrading(control_planes=control_planes)
    cluster.go(NEW)
    told = steps(cluster, "upgrade", "cp1", **{WHOLE: "yes"})
    assert told["Remember where every host begins"] == ["file /var/lib/kubeforge/upgrade", "upgrade.served"]
    assert told["Take a snapshot of etcd"] == ["etcd.snapshot"]
    rolled = told["Upgrade the control planes, one by one"]
    order = [title for title in rolled if title.startswith(("pod ", "unit kubelet", "node ", "uncordon"))]
    pods = ["pod kube-apiserver", "pod kube-controller-manager", "pod kube-scheduler"]
    assert order == [*pods, "unit kubelet.service", "node cp1", "uncordon cp1"]
    assert told["Mark that the upgrade has arrived"] == ["file /var/lib/kubeforge/upgrade-finished"]
    worker = steps(cluster, "upgrade", "w1")
    assert "unit kubelet.service" in worker["Upgrade the workers, few at a time"]
    assert worker["Mark that the upgrade has arrived"] == [], "the run was not about all hosts"


def test_nothing_stops_before_parts_and_images_are_there(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.go(NEW)
    plays = list(steps(cluster, "upgrade", "w1").items())
    brought = [title for play, titles in plays if play.startswith("Bring parts") for title in titles]
    assert "stored kubelet" in brought
    assert any(title.startswith("image ") for title in brought)
    assert "artifact /usr/local/bin/kubelet" not in brought


@pytest.mark.parametrize("name", ["upgrade-rollback", "upgrade-rollback-snapshot"])
def test_a_rollback(upgrading: Make, name: str) -> None:
    cluster = upgrading(control_planes=3)
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    cluster.go(OLD)
    for host in cluster.names:
        told = steps(cluster, name, host)
        assert told["Remove what came with the upgrade, and forget it"][-1].startswith("generation ")
    assert "rollback.check" in steps(cluster, name, "cp1")[book(name).plays[0].name]
    assert "rollback.check" not in steps(cluster, name, "cp2")[book(name).plays[0].name]


def test_workers_are_first_on_the_way_back_and_last_on_the_way_there() -> None:
    there, back = book("upgrade"), book("upgrade-rollback")
    names = [play.name for play in there.plays]
    assert names.index("Upgrade the control planes, one by one") < names.index("Upgrade the workers, few at a time")
    rolled = [play for play in back.plays if play.name.startswith("Take the")]
    assert [(play.hosts.partition(":")[0], play.order) for play in rolled] == [
        ("kube_node", "reverse_inventory"),
        ("kube_control_plane", "reverse_inventory"),
    ]
    assert rolled[1].serial[0].amount == 1


def test_a_limited_upgrade_of_workers_needs_its_control_planes_first(upgrading: Make) -> None:
    cluster = upgrading(control_planes=3)
    cluster.go(NEW)
    with pytest.raises(UnfitHost, match="its kubelet would be newer") as raised:
        cluster.ask("w1", upgrade.check, **{upgrade.LIMIT: "w1"})
    assert len(raised.value.evidence) == 3
    assert cluster.ask("w1", upgrade.check, **{upgrade.LIMIT: "w1:kube_control_plane"}) == []
    assert cluster.ask("w1", upgrade.check) == []


def test_what_the_cluster_holds_waits_for_the_last_control_plane(upgrading: Make) -> None:
    cluster = upgrading(control_planes=3)
    cluster.go(NEW)
    limited = {upgrade.LIMIT: "cp1:cp2"}
    (remark,) = cluster.ask("cp1", upgrade.objects, **limited)
    assert "until these are upgraded, too: cp3" in remark.text
    assert cluster.ask("cp1", upgrade.addons, **limited) == []
    assert [one.title for one in cluster.ask("cp1", upgrade.objects)] == ["bootstrap.objects"]
    cluster.upgrade(NEW, ["cp3"])
    assert [one.title for one in cluster.ask("cp1", upgrade.objects, **limited)] == ["bootstrap.objects"]
    assert [one.title for one in cluster.ask("cp1", upgrade.addons, **limited)] == ["addons.apply", "upgrade.addons"]


def test_an_upgrade_that_is_under_way_is_named_by_whoever_would_go_back(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.upgrade(NEW)
    cluster.go(OLD)
    with pytest.raises(UnfitHost, match=f"cannot become Kubernetes {OLD}") as raised:
        cluster.ask("cp1", upgrade.check)
    told = str(raised.value.remedy)
    assert f"go on: kubeforge upgrade apply {NEW}" in told
    assert "kubeforge upgrade rollback" in told
    cluster.go(NEW)
    cluster.run("cp1", upgrade_record.finish, **{WHOLE: "yes"})
    cluster.go(OLD)
    with pytest.raises(UnfitHost, match="cannot become") as raised:
        cluster.ask("cp1", upgrade.check)
    assert f"back to {NEW}" in str(raised.value.remedy)
