"""An upgrade in memory is taken back: every path, link and image is as it was, however far it had come."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.engine.generations import read_ledger
from kubeforge.operations.model import Operation, Queries
from kubeforge.spec.paths import BIN, LEDGER, UPGRADE, UPGRADE_FINISHED
from kubeforge.tasks import parking, rollback
from kubeforge.tasks.rolled_back import PodServes
from kubeforge.tasks.upgrade_record import WHOLE
from tests.unit.tasks.rolling_site import APISERVER, Make, titles
from tests.unit.tasks.upgrade_site import NEW, OLD, Upgrading

BACK = (rollback.host_files, rollback.runtime, rollback.kubelet, rollback.pods)


@pytest.fixture
def upgrading(site: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    return lambda **values: Upgrading(site, **values)


def back(cluster: Upgrading) -> None:
    """Do what playbooks/upgrade-rollback.yml does, as far as operations go."""
    cluster.go(OLD)
    for name in reversed(cluster.names):
        cluster.run(name, *BACK, run_id="back")
        cluster._settle(name)
    for name in cluster.names:
        cluster.run(name, rollback.finish, run_id="back")


@pytest.mark.parametrize("control_planes", [1, 3])
def test_everything_is_as_it_was(upgrading: Make, control_planes: int) -> None:
    cluster = upgrading(control_planes=control_planes)
    before = cluster.state()
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    assert cluster.differences(before)
    assert NEW.encode() in cluster.made.hosts["cp1"].file(APISERVER)
    back(cluster)
    assert cluster.differences(before) == []


def test_a_half_done_upgrade_goes_back_too(upgrading: Make) -> None:
    cluster = upgrading(control_planes=3)
    before = cluster.state()
    cluster.upgrade(NEW, ["cp1", "cp2"])
    back(cluster)
    assert cluster.differences(before) == []


def test_several_steps_go_back_to_the_first(upgrading: Make) -> None:
    cluster = upgrading()
    before = cluster.state()
    cluster.upgrade(NEW, upgrade_target="1.37.0")
    cluster.upgrade("1.37.0", **{WHOLE: "yes"})
    back(cluster)
    assert cluster.differences(before) == []


def test_a_rollback_that_was_cut_off_is_gone_on_with(upgrading: Make) -> None:
    cluster = upgrading(control_planes=3)
    before = cluster.state()
    cluster.upgrade(NEW)
    cluster.go(OLD)
    cluster.run("w1", *BACK, run_id="cut")
    cluster.run("cp3", rollback.host_files, rollback.kubelet, run_id="cut")
    back(cluster)
    assert cluster.differences(before) == []


def test_a_second_rollback_has_nothing_to_do(upgrading: Make) -> None:
    cluster = upgrading()
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    back(cluster)
    for name in cluster.names:
        assert cluster.ask(name, *BACK, rollback.finish, rollback.stopped) == []


def test_the_order_is_the_upgrades_turned_round(upgrading: Make) -> None:
    """The API server among others ends before its etcd goes back, and comes back after it."""
    cluster = upgrading(control_planes=3)
    cluster.upgrade(NEW)
    cluster.go(OLD)
    pods = [title for title in titles(cluster.ask("cp1", rollback.pods)) if not title.startswith("restore")]
    assert pods == ["pod kube-scheduler", "pod kube-controller-manager", "rollback.gate", "pod kube-apiserver"]
    serve = [one for one in cluster.ask("cp1", rollback.pods) if isinstance(one, PodServes)]
    assert [(one.server is not None, one.clients) for one in serve] == [
        (True, ()),
        (True, ()),
        (False, ("kube-scheduler", "kube-controller-manager")),
    ]
    kubelets = titles(cluster.ask("w1", rollback.kubelet))
    assert kubelets[0] == f"restore {BIN}/kubelet"
    assert kubelets[-2:] == ["restore kubelet.service after its files", "kubelet.serves"]


def test_a_changed_etcd_goes_back_behind_its_api_server(upgrading: Make) -> None:
    cluster = upgrading(control_planes=3)
    cluster.upgrade("1.37.0")
    cluster.go(OLD)
    told = titles(cluster.ask("cp1", rollback.pods))
    assert told[-6:] == [
        "rollback.gate",
        "end kube-apiserver",
        "restore /etc/kubernetes/manifests/etcd.yaml",
        "pod etcd",
        f"restore {APISERVER}",
        "pod kube-apiserver",
    ]


def test_forgetting_comes_last(upgrading: Make) -> None:
    """So that whoever is cut off before still knows what to put back."""
    cluster = upgrading()
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    cluster.go(OLD)
    told = titles(cluster.ask("cp1", rollback.finish))
    marks = [told.index(f"restore {path}") for path in (UPGRADE_FINISHED, UPGRADE)]
    forgotten = [index for index, title in enumerate(told) if title.startswith("generation ")]
    assert marks == sorted(marks)
    assert min(forgotten) > max(marks)
    assert forgotten == list(range(min(forgotten), len(told)))


def test_what_is_forgotten_is_what_the_upgrade_made(upgrading: Make) -> None:
    cluster = upgrading()
    host = cluster.made.hosts["cp1"]

    def numbers() -> list[int]:
        return [one.number for one in read_ledger(host.observe(Queries(reads=(LEDGER,)))).generations]

    base = numbers()
    cluster.upgrade(NEW)
    cluster.go(OLD)
    steps: list[Any] = [one for one in cluster.ask("cp1", rollback.finish) if one.title.startswith("generation ")]
    assert [one.title for one in steps if isinstance(one, Operation)] == [
        f"generation {number}" for number in reversed(numbers()) if number not in base
    ]


def test_with_everything_stopped_all_is_put_back_and_nothing_started(upgrading: Make) -> None:
    """On the way back from a snapshot."""
    cluster = upgrading(control_planes=3)
    before = cluster.state()
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    cluster.go(OLD)
    for name in cluster.planes:
        told = cluster.run(name, rollback.host_files, rollback.runtime, rollback.stopped, run_id="back")
        assert "restore kubelet.service after its files" not in told, "its unit file has not changed"
        assert f"restore {APISERVER}" in told
    cluster.run("w1", *BACK, run_id="back")
    for name in cluster.names:
        cluster._settle(name)
        cluster.run(name, rollback.finish, run_id="back")
    assert cluster.differences(before) == []
