"""Nodes are cordoned, drained and uncordoned: what goes, what stays, what a drain that is given up leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kubeforge.cluster.cordon import cordoned_by, is_cordoned
from tests.e2e.conftest import wait_until
from tests.e2e.nodes.conftest import Fleet, fleet

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PAUSE = "registry.k8s.io/pause:3.10.2"
NEVER = "example.test/never"
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec: {minAvailable: MIN, selector: {matchLabels: {app: web}}}
"""


def web(replicas: int, **changes: Any) -> str:
    """Return a Deployment whose pods end at once; `changes` go over its pods' spec."""
    container = {"name": "web", "image": PAUSE, "imagePullPolicy": "Never"}
    pods = {"terminationGracePeriodSeconds": 1, "containers": [container], **changes}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": pods},
            },
        }
    )


def bare(name: str, on: str, *, finalizers: Sequence[str] = (), volumes: Sequence[Any] = ()) -> str:
    """Return a pod that no controller owns."""
    metadata = {"name": name, "namespace": "default", "finalizers": list(finalizers), "labels": {"bare": "yes"}}
    container = {"name": "it", "image": PAUSE, "imagePullPolicy": "Never"}
    spec = {"nodeName": on, "terminationGracePeriodSeconds": 1, "containers": [container], "volumes": list(volumes)}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """One control plane and two workers."""
    with fleet("drain", "cp1", "w1", "w2", control_planes=1, workers=2) as made:
        yield made


@pytest.fixture(autouse=True)
def _clean(herd: Fleet) -> Iterator[None]:
    """Leave nothing of a test to the next one."""
    yield
    let_go(herd)
    herd.kubectl("delete", "pod", "-l", "bare=yes", "--now", "--ignore-not-found")
    herd.kubectl("delete", "deployment,pdb", "web", "--ignore-not-found")
    herd.kubectl("uncordon", "w1", "w2")
    wait_until(lambda: not pods(herd, "w1") and not pods(herd, "w2"), why=lambda: str(herd.get("pods")))


def let_go(herd: Fleet) -> None:
    """Take the finalizers off all pods."""
    for one in herd.get("pods", "-l", "bare=yes")["items"]:
        herd.kubectl("patch", "pod", one["metadata"]["name"], "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def pods(herd: Fleet, on: str) -> list[str]:
    """Return the names of the pods of namespace default on a node."""
    found = herd.get("pods", "-n", "default", f"--field-selector=spec.nodeName={on}")["items"]
    return sorted(one["metadata"]["name"] for one in found)


def cordon(herd: Fleet, name: str) -> tuple[bool, bool]:
    """Return whether a node is cordoned, and whether by a run of ours."""
    found = herd.get("node", name)
    return is_cordoned(found), cordoned_by(found) is not None


def deployed(herd: Fleet, replicas: int, *, least: int | None = None, on: str = "w1") -> None:
    """Run web on one worker, with a budget; then let it run anywhere."""
    other = {"w1": "w2", "w2": "w1"}[on]
    herd.kubectl("cordon", other)
    herd.kubectl("apply", "-f", "-", stdin=web(replicas))
    herd.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    if least is not None:
        herd.kubectl("apply", "-f", "-", stdin=BUDGET.replace("MIN", str(least)))
        wait_until(lambda: herd.get("pdb", "web").get("status", {}).get("expectedPods") == replicas)
    herd.kubectl("uncordon", other)


@contextmanager
def begun(herd: Fleet, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a verb that answers itself; whatever is left of it in the end is killed."""
    with subprocess.Popen(
        herd.argv(*words, "--yes"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=herd.variables,
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_pods_move_one_by_one_and_a_second_drain_changes_nothing(herd: Fleet) -> None:
    deployed(herd, 2, least=1)
    before = pods(herd, "w1")
    told = herd.run("drain", "w1", "--check").check(0, "cordon w1", *(f"pod default/{name}" for name in before))
    assert "flannel" not in told.out
    assert (pods(herd, "w1"), cordon(herd, "w1")) == (before, (False, False))
    said = herd.run("drain", "w1", "--yes").check(0)
    for name in before:
        assert f"pod default/{name}: gone after" in said.err, said.text
    assert "not yet: budget default/web (minAvailable 1)" in said.err, said.text
    assert pods(herd, "w1") == []
    wait_until(lambda: len(pods(herd, "w2")) == 2, why=lambda: str(herd.get("pods")))
    assert cordon(herd, "w1") == (True, False), "a person wanted it"
    own = herd.get("pods", "-A", "--field-selector=spec.nodeName=w1")["items"]
    assert {one["metadata"]["ownerReferences"][0]["kind"] for one in own} == {"DaemonSet"}
    herd.run("drain", "w1", "--yes").check(0, "No changes.")
    herd.run("uncordon", "w1").check(0)
    assert cordon(herd, "w1") == (False, False)
    herd.run("uncordon", "w1").check(0, "No changes.")


def test_what_would_be_lost_is_refused_all_at_once(herd: Fleet) -> None:
    deployed(herd, 1)
    herd.kubectl("apply", "-f", "-", stdin=bare("alone", "w1"))
    herd.kubectl("apply", "-f", "-", stdin=web(1, volumes=[{"name": "scratch", "emptyDir": {}}], nodeName="w1"))
    herd.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    said = herd.run("drain", "w1", "--yes").check(
        12, "Nothing was done", "default/alone: no controller brings it up again"
    )
    said.check(12, "what is in its emptyDir would be lost: scratch")
    said.names("cp1", "drain w1", "pods that a drain must not touch (2)", "--force deletes it for good")
    assert cordon(herd, "w1") == (False, False)


def test_what_would_be_lost_goes_where_that_is_said(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=bare("alone", "w1", volumes=[{"name": "scratch", "emptyDir": {}}]))
    herd.run("drain", "w1", "--yes", "--force", "--delete-local-storage", "--grace", "0").check(0)
    assert pods(herd, "w1") == []


def test_a_budget_that_never_allows_is_told_before_anything_is_done(herd: Fleet) -> None:
    deployed(herd, 2, least=2)
    said = herd.run("drain", "w1", "--yes").check(
        12, "Nothing was done", "2 of 2 pods are Ready, 2 must be, 0 may go now"
    )
    said.names("cp1", "drain w1", "never lets one go", "more replicas")
    assert (cordon(herd, "w1"), len(pods(herd, "w1"))) == ((False, False), 2)


def test_a_budget_that_does_not_allow_in_time_is_named_and_the_node_put_back(herd: Fleet) -> None:
    """The one that goes finds no place, so the budget never lets the other one go."""
    deployed(herd, 2, least=1)
    herd.kubectl("cordon", "w2")
    said = herd.run("drain", "w1", "--yes", "--deadline", "8s").check(15, "the drain is given up")
    said.names("cp1", "drain w1", "budget default/web (minAvailable 1): 1 of 2 pods are Ready", "--deadline")
    assert cordon(herd, "w1") == (False, False)
    wait_until(lambda: len(pods(herd, "w1")) == 2, why=lambda: str(herd.get("pods")))


def test_a_finalizer_that_never_ends_is_named_and_the_node_put_back(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=bare("stuck", "w1", finalizers=[NEVER]))
    said = herd.run("drain", "w1", "--yes", "--force", "--deadline", "6s").check(15)
    said.names("cp1", "drain w1", "default/stuck: ends since", "the node is put back as it was")
    assert NEVER in said.err
    assert cordon(herd, "w1") == (False, False)


def test_a_persons_cordon_stays_when_a_drain_is_given_up(herd: Fleet) -> None:
    herd.kubectl("cordon", "w1")
    herd.kubectl("apply", "-f", "-", stdin=bare("stuck", "w1", finalizers=[NEVER]))
    herd.run("drain", "w1", "--yes", "--force", "--deadline", "3s").check(15)
    assert cordon(herd, "w1") == (True, False)


def test_ctrl_c_puts_the_node_back(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=bare("stuck", "w1", finalizers=[NEVER]))
    with begun(herd, "drain", "w1", "--force") as child:
        wait_until(lambda: cordon(herd, "w1") == (True, True))
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130, out
    assert "the drain is given up: node w1 is uncordoned again" in out
    assert cordon(herd, "w1") == (False, False)


def test_a_drain_that_was_killed_is_gone_on_with(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=bare("stuck", "w1", finalizers=[NEVER]))
    with begun(herd, "drain", "w1", "--force") as child:
        wait_until(lambda: cordon(herd, "w1") == (True, True))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert cordon(herd, "w1") == (True, True)
    let_go(herd)
    herd.run("drain", "w1", "--yes", "--force").check(0)
    assert (cordon(herd, "w1"), pods(herd, "w1")) == ((True, False), [])


def test_a_cordon_is_a_persons_whichever_way_it_was_set(herd: Fleet) -> None:
    herd.run("cordon", "w1", "w2").check(0)
    assert cordon(herd, "w1") == cordon(herd, "w2") == (True, False)
    herd.run("cordon", "kube_node").check(0, "No changes.")
    herd.run("uncordon", "kube_node").check(0)
    assert cordon(herd, "w1") == cordon(herd, "w2") == (False, False)


def test_a_persons_cordon_after_ours_is_no_more_ours(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=bare("stuck", "w1", finalizers=[NEVER]))
    with begun(herd, "drain", "w1", "--force") as child:
        wait_until(lambda: cordon(herd, "w1") == (True, True))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    herd.kubectl("uncordon", "w1")
    wait_until(lambda: not herd.get("node", "w1")["spec"].get("taints"))
    herd.kubectl("cordon", "w1")
    assert cordon(herd, "w1") == (True, False)


def test_nobody_of_that_name(herd: Fleet) -> None:
    herd.run("drain", "w7", "--yes").check(16, "the cluster has no node w7", "cp1, w1, w2")


def test_a_node_that_is_not_in_the_inventory(herd: Fleet) -> None:
    deployed(herd, 1)
    herd.write("cp1", "w2")
    try:
        herd.run("drain", "w1", "--yes").check(0)
        assert pods(herd, "w1") == []
    finally:
        herd.write("cp1", "w1", "w2")


def test_a_dead_host_is_drained_without_a_frame_to_it(herd: Fleet) -> None:
    deployed(herd, 1, least=1)
    herd.kubectl("apply", "-f", "-", stdin=bare("alone", "w1"))
    herd.lab.host("w1").kill()
    try:
        with herd.wire() as wire:
            herd.run("drain", "w1", "--dead", "--yes").check(0)
        assert herd.lab.host("w1").address not in wire.asked, wire.asked
        assert pods(herd, "w1") == []
        herd.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    finally:
        herd.lab.host("w1").start()
    herd.until_good(120)
