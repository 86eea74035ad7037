"""An upgrade that meets an API server that does not start, a kubelet that does not, a host that dies.

In order: each failure is met one step further on, by the same command, until it ends upgraded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import respec
from tests.e2e.upgrade.test_upgrade import NEW, OLD, images, versions

pytestmark = pytest.mark.lab

# A file of its own, which no table knows and no binary is asked about beforehand.
AUDIT = {"policy": {"rules": [{"level": "Metadata", "resources": [{"group": "no_group"}]}]}}


@pytest.fixture(scope="module")
def aged() -> Iterator[Ha]:
    with made("failing", control_planes=1, workers=1, kubernetes=OLD) as forge:
        respec(forge, lambda data: data.update(addons={}))
        forge.apply().check(0)
        forge.until_good()
        yield forge


def kubelets(forge: Ha) -> dict[str, str]:
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in forge.get("nodes")["items"]
    }


def test_an_api_server_that_does_not_start_with_its_flags_is_back_by_itself(aged: Ha) -> None:
    """The only one there is: the API answers again with the former version and what it was told before."""
    manifest = aged.sh("cp1", "cat /etc/kubernetes/manifests/kube-apiserver.yaml")
    before = respec(aged, lambda data: data.setdefault("api_server", {}).update(audit=AUDIT))
    try:
        said = aged.run(f"upgrade apply {NEW}", "--yes").check(13, "Not done:", "no_group")
    finally:
        (aged.inventory / "cluster.yml").write_text(before)
    said.names("cp1", "pod kube-apiserver", "was put back, and it serves again", "correct cluster.yml")
    assert aged.sh("cp1", "cat /etc/kubernetes/manifests/kube-apiserver.yaml") == manifest
    aged.until_good()
    assert versions(aged) == {OLD}


def test_a_kubelet_that_does_not_start_is_back_by_itself(aged: Ha) -> None:
    """The control plane's components are new by then, its kubelet is as before, and no worker was touched."""

    def nonsense(data: dict[str, Any]) -> None:
        data.setdefault("kubelet", {}).setdefault("config", {}).update(cpuManagerPolicy="nonsense")

    before = respec(aged, nonsense)
    try:
        said = aged.run(f"upgrade apply {NEW}", "--yes").check(13, "nonsense")
    finally:
        (aged.inventory / "cluster.yml").write_text(before)
    said.names("cp1", "kubelet.serves", "was put back, and it serves again", "correct cluster.yml")
    assert images(aged) == [NEW]
    assert kubelets(aged) == {"cp1": f"v{OLD}", "w1": f"v{OLD}"}


def test_a_worker_that_dies_during_its_own_upgrade_is_named_and_gone_on_with(aged: Ha) -> None:
    with aged.starting(f"upgrade apply {NEW}") as run:
        run.until(lambda: run.step("StepStarted", "w1", "kubelet.serves") or run.child.poll() == 0, within=240)
        aged.lab.host("w1").kill()
        said = run.ended()
    said.check(11, "Not done:").names("w1", "kubelet.serves", "connection", "see that the host is up")
    aged.lab.host("w1").start()
    aged.run(f"upgrade apply {NEW}", "--yes").check(0)
    aged.until_good()
    assert versions(aged) == {NEW}
    assert kubelets(aged) == {"cp1": f"v{NEW}", "w1": f"v{NEW}"}
    aged.run(f"upgrade apply {NEW}", "--yes").check(0, "No changes.")
