"""Workers come, leave, die and are replaced, beside one control plane. The tests follow one another on one cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import QUICK
from tests.e2e.nodes.conftest import Fleet, fleet
from tests.e2e.test_reset import difference

pytestmark = [pytest.mark.lab, pytest.mark.slow]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: registry.k8s.io/pause:3.10.2, imagePullPolicy: Never}]
"""


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """One control plane and two of four workers."""
    with fleet("workers", "cp1", "w1", "w2", control_planes=1, workers=4) as made:
        yield made


def placed(herd: Fleet) -> set[str]:
    """Return the nodes on which the pods of `web` run."""
    pods = herd.get("pods", "-l", "app=web")["items"]
    return {pod["spec"].get("nodeName", "") for pod in pods if pod["status"]["phase"] == "Running"}


def test_a_new_line_shows_in_the_plan(herd: Fleet) -> None:
    herd.run("plan", "--detailed-exitcode").check(0, "No changes.")
    herd.write("cp1", "w1", "w2", "w3")
    herd.run("plan").check(0, "w3 is in the inventory and not a node of the cluster")


def test_a_worker_joins_and_others_learn_its_name_only(herd: Fleet) -> None:
    herd.run("node add", "w3", "--yes", "--tags", "prepare").check(0)
    begin = time.monotonic()
    herd.run("node add", "w3", "--yes").check(0)
    print(f"\nw3 joined in {time.monotonic() - begin:.1f} s, with its files there")
    changed = herd.changed()
    assert {name: titles for name, titles in changed.items() if name != "w3"} == {
        name: {"file /etc/hosts"} for name in ("cp1", "w1", "w2")
    }
    assert herd.nodes() == dict.fromkeys(("cp1", "w1", "w2", "w3"), True)
    herd.whole()
    herd.run("node add", "w3", "--yes").check(0, "No changes.")
    herd.run("node add", "--yes").check(0, "No changes.")


def test_a_worker_leaves_and_its_host_is_as_before(herd: Fleet) -> None:
    herd.kubectl("apply", "-f", "-", stdin=WEB)
    wait_until(lambda: len(placed(herd)) == 2)
    herd.run("node remove", "w3", "--yes").check(0)
    assert set(herd.nodes()) == {"cp1", "w1", "w2"}
    assert placed(herd) <= {"w1", "w2"}
    assert difference(herd.before["w3"], herd.snapshot("w3")) == []
    herd.write("cp1", "w1", "w2")
    herd.whole()


@pytest.mark.parametrize("seconds", [1.0, 3.0, 6.0])
def test_an_addition_that_is_killed_is_gone_on_with(herd: Fleet, seconds: float) -> None:
    herd.write("cp1", "w1", "w2", "w4")
    with subprocess.Popen(herd.argv("node add", "w4", "--yes"), env=herd.variables) as child:
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
    herd.run("node add", "w4", "--yes").check(0)
    assert herd.nodes()["w4"]
    herd.run("node remove", "w4", "--yes").check(0)
    herd.write("cp1", "w1", "w2")
    herd.whole()


def test_a_dead_worker_is_removed_without_a_frame_to_it(herd: Fleet) -> None:
    herd.write("cp1", "w1", "w2", "w3")
    herd.run("node add", "w3", "--yes").check(0)
    herd.lab.host("w3").kill()
    with herd.wire() as wire:
        herd.run("node remove", "w3", "--dead", "--yes").check(0)
    dead, first = herd.lab.host("w3").address, herd.lab.host("cp1").address
    assert dead not in wire.asked, wire.asked
    assert wire.asked.get(first), "the wire was heard"
    assert set(herd.nodes()) == {"cp1", "w1", "w2"}
    assert "w3" not in herd.sh("cp1", "cat /etc/hosts")
    wait_until(lambda: len(placed(herd)) == 2 or placed(herd) <= {"w1", "w2"})
    herd.write("cp1", "w1", "w2")
    herd.whole()


def test_a_node_that_is_not_written_shows_in_the_plan_and_can_go(herd: Fleet) -> None:
    herd.write("cp1", "w1")
    herd.run("plan").check(0, "node w2 is in the cluster and not in the inventory", "kubeforge node remove w2 --dead")
    remarks = json.loads(herd.run("plan", "-o", "json").check(0).out)["remarks"]
    strangers = [one["details"] for one in remarks if one["task"] == "nodes.strangers"]
    assert strangers == [{"kind": "node", "name": "w2", "missing_from": "inventory"}]
    herd.run("node remove", "w2", "--yes").check(10, "--dead")
    herd.lab.host("w2").kill()
    with herd.wire() as wire:
        herd.run("node remove", "w2", "--dead", "--yes").check(0)
    assert herd.lab.host("w2").address not in wire.asked
    herd.whole()


def test_a_worker_is_replaced_by_itself(herd: Fleet) -> None:
    uid = herd.get("node", "w1")["metadata"]["uid"]
    herd.run("node replace", "w1", "--yes").check(0)
    assert herd.get("node", "w1")["metadata"]["uid"] != uid
    assert herd.nodes()["w1"]
    herd.whole()


def test_a_host_that_cannot_be_reached_is_not_taken_for_dead(herd: Fleet) -> None:
    herd.lab.host("w1").kill()
    try:
        herd.run("node remove", "w1", "--yes", *QUICK).check(11, "Nothing was done")
        assert "w1" in herd.nodes()
    finally:
        herd.lab.host("w1").start()
    herd.until_good(90)
