"""An API server among others ends before its etcd is changed, and comes back whatever becomes of that. In memory."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.errors import OperationFailed
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Queries, fold
from kubeforge.tasks import control_plane, etcd, living, parking, rolling
from kubeforge.tasks.parking import ApiServerEnds
from kubeforge.tasks.rolling import PodRolled
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import APISERVER, ASIDE, Make, talk, titles

SLOWER = {"etcd": {"extra_args": {"heartbeat-interval": "200"}}}
ETCD = manifest_path("etcd")
ETCD_ASIDE = living.aside("etcd", ETCD)


def ended(made: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """End the API server of cp1, as the run does when it is its turn; return the conversation."""
    run = talk(made, "cp1")
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    ApiServerEnds().run(run)
    return run


def test_it_ends_first_and_comes_back_once_etcd_serves(living_site: Make) -> None:
    made = living_site(control_planes=3, **SLOWER)
    assert titles(made.ask("cp1", etcd.roll)) == [
        "arguments of etcd",
        "arguments of kube-apiserver",
        "etcd.gate",
        "end kube-apiserver",
        f"file {ETCD}",
        "pod etcd",
        f"file {APISERVER}",
        "pod kube-apiserver",
    ]
    assert "pod kube-apiserver" not in titles(made.ask("cp1", control_plane.roll)), "not twice"


def test_one_that_is_alone_is_not_ended_in_order(living_site: Make) -> None:
    made = living_site(**SLOWER)
    assert "end kube-apiserver" not in titles(made.ask("cp1", etcd.roll))


def test_one_whose_etcd_stays_is_changed_alone(living_site: Make) -> None:
    made = living_site(control_planes=3, api_server={"extra_args": {"profiling": "false"}})
    assert not parking.parks(made.context("cp1", etcd.roll))
    assert made.ask("cp1", etcd.roll) == []
    assert "pod kube-apiserver" in titles(made.ask("cp1", control_plane.roll))


def test_its_manifest_lies_aside_meanwhile(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = living_site(control_planes=3, **SLOWER)
    before = made.hosts["cp1"].file(APISERVER)
    ended(made, monkeypatch)
    assert made.hosts["cp1"].state.paths[APISERVER] is None
    assert made.hosts["cp1"].file(ASIDE) == before


def test_what_is_planned_after_it_is_true(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan knows that the manifest is not there when its turn comes."""
    made = living_site(control_planes=3, **SLOWER)
    items = made.ask("cp1", etcd.roll)
    file = next(item for item in items if item.title == f"file {APISERVER}")
    (change,) = ApiServerEnds().plan(talk(made, "cp1"))
    host = made.hosts["cp1"]
    planned = file.decide(host.observe(file.observe()).after(change))
    ended(made, monkeypatch)
    (done,), _ = fold([file], host.observe(file.observe()))
    assert planned == done
    assert done.why == "is missing"


def test_a_killed_run_leaves_it_to_the_next(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which writes the manifest at once, as any that is missing, and sees whether it serves."""
    made = living_site(control_planes=3, **SLOWER)
    ended(made, monkeypatch)
    made.begin()
    assert made.apply("cp1", control_plane.server) == [f"file {APISERVER}"]
    made.begin()
    assert "pod kube-apiserver" in titles(made.ask("cp1", etcd.roll))


def test_it_comes_back_with_an_etcd_that_goes_back(
    living_site: Make, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    made = living_site(control_planes=3, **SLOWER)
    host = made.hosts["cp1"]
    before = {path: host.file(path) for path in (APISERVER, ETCD)}
    items = made.ask("cp1", etcd.roll)
    file = next(item for item in items if item.title == f"file {ETCD}")
    pod = next(item for item in items if isinstance(item, PodRolled))
    run = ended(made, monkeypatch)
    seen = host.observe(Queries.merge([file.observe()]))
    host.act(fold([file], seen)[0], seen, run_id="r")
    host.commands[("rm", "-rf", "--", living.folder("etcd"))] = Completed(0)
    monkeypatch.setattr(rolling, "lacks_pod", lambda *_, **__: None if host.file(ETCD) == before[ETCD] else "no")
    with pytest.raises(OperationFailed, match="was put back, and it serves again"):
        pod.run(run)
    assert {path: host.file(path) for path in before} == before
