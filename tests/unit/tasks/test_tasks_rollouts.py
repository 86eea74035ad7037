"""The addons' pods are the new ones before pods are moved: what is waited for, and when it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster.kinds import Obj
from kubeforge.errors import DeadlineExceeded
from kubeforge.tasks import rollouts
from kubeforge.tasks.rollouts import AddonsRolledOut
from tests.unit.tasks.rolling_site import talk

PROXY, DNS = ("DaemonSet", "kube-system", "kube-proxy"), ("Deployment", "kube-system", "coredns")
NEW_PODS = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
NEW_REPLICAS = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
Make = Callable[..., Any]


@pytest.fixture
def run(site: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return `run(proxy=…, dns=…, ready=…)`: the context of an action on a cluster with these states."""
    monkeypatch.setattr(rollouts, "NODE_DEADLINE", 0.01)
    monkeypatch.setattr(rollouts, "POD_DEADLINE", 0.0)

    def begin(*, proxy: dict[str, int] = NEW_PODS, dns: dict[str, int] = NEW_REPLICAS, ready: str = "True") -> Any:
        class Api:
            def get(self, _version: str, kind: str, name: str, namespace: str) -> Obj:
                metadata = {"name": name, "namespace": namespace, "generation": 2}
                status = proxy if kind == "DaemonSet" else dns
                return {"metadata": metadata, "spec": {"replicas": 2}, "status": status}

            def objects(self, *_: str) -> list[Obj]:
                conditions = [{"type": "Ready", "status": ready}]
                return [{"metadata": {"name": "w1"}, "status": {"conditions": conditions}}]

        class Access:
            def api(self, _run: Any) -> Api:
                return Api()

        made = site(control_planes=3)
        made.vault.once("cluster.access", Access)
        return talk(made, "cp1")

    return begin


ACTION = AddonsRolledOut(name="upgrade.addons", workloads=(PROXY, DNS))


def test_nothing_is_planned_where_all_is_new(run: Make) -> None:
    assert ACTION.plan(run()) == []


def test_a_rollout_that_an_earlier_run_has_begun_is_waited_for(run: Make) -> None:
    assert len(ACTION.plan(run(proxy={**NEW_PODS, "updatedNumberScheduled": 1}))) == 1


@pytest.mark.parametrize(
    ("state", "lacks"),
    [
        ({"proxy": {**NEW_PODS, "updatedNumberScheduled": 1}}, "kube-system/kube-proxy: 1 of 3 pods are new"),
        ({"proxy": {**NEW_PODS, "numberAvailable": 2}}, "kube-system/kube-proxy: 2 of 3 pods serve"),
        ({"dns": {**NEW_REPLICAS, "observedGeneration": 1}}, "kube-system/coredns: 2 of 2 pods are new"),
        ({"dns": {**NEW_REPLICAS, "replicas": 3}}, "kube-system/coredns: 2 of 2 pods are new"),
        ({"dns": {**NEW_REPLICAS, "availableReplicas": 1}}, "kube-system/coredns: 1 of 2 pods serve"),
    ],
)
def test_pods_that_do_not_come_end_the_run(run: Make, state: dict[str, Any], lacks: str) -> None:
    with pytest.raises(DeadlineExceeded, match=lacks):
        ACTION.run(run(**state))


def test_a_node_that_is_away_holds_up_no_daemon_set(run: Make) -> None:
    assert len(ACTION.run(run(proxy={**NEW_PODS, "updatedNumberScheduled": 1}, ready="Unknown"))) == 1
