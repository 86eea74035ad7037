"""Three control planes and a worker go to the next minor under a client that never rests; what stops them.

No acknowledged write is lost. That no request fails is not asserted: some do (ADR 70).
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import LOCAL, PATIENT, respec

pytestmark = pytest.mark.lab

OLD, NEW = "1.35.4", "1.36.3"
PAUSE = "registry.k8s.io/pause:3.10.2"
SERVER = f"registry.k8s.io/kube-apiserver:v{NEW}"


def versions(forge: Ha) -> set[str]:
    """Return every version that `status` knows of Kubernetes' own components and kubelets."""
    told = json.loads(forge.run("status", "-o", "json").out)
    core = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"}
    return {one["version"] for one in told["versions"] if one["component"] in core}


def images(forge: Ha) -> list[str]:
    """Return the version in each control plane's manifest of the API server, in their order."""
    script = "sed -n 's/.*kube-apiserver:v//p' /etc/kubernetes/manifests/kube-apiserver.yaml"
    return [forge.sh(name, script).strip() for name in forge.planes]


def plan_of(forge: Ha) -> dict[str, Any]:
    """Return the plan of the last run."""
    plan: dict[str, Any] = json.loads((forge.runs()[-1] / "plan.json").read_text())
    return plan


@pytest.fixture(scope="module")
def aged() -> Iterator[Ha]:
    """A living cluster of the older minor; its cluster.yml names the newer one."""
    with made("upgrade", control_planes=3, workers=1, kubernetes=OLD) as forge:
        respec(forge, lambda data: data.update(addons={}))
        forge.apply().check(0)
        forge.until_good()
        respec(forge, lambda data: data.update(kubernetes=NEW))
        yield forge


def test_parts_come_first_and_stop_nothing(aged: Ha) -> None:
    started = aged.sh("cp1", "systemctl show -P ActiveEnterTimestamp kubelet containerd")
    aged.run("apply", "--yes", "--tags", "prepare").check(0)
    assert aged.sh("cp1", "systemctl show -P ActiveEnterTimestamp kubelet containerd") == started
    assert SERVER in aged.sh("cp1", "ctr -n k8s.io images ls -q")
    assert {aged.sh(name, "kubelet --version").split()[-1] for name in (*aged.planes, "w1")} == {f"v{OLD}"}
    aged.run("apply", "--yes", "--tags", "prepare").check(0, "No changes.")


def test_an_image_that_does_not_start_is_put_back(aged: Ha) -> None:
    """The third control plane has something else under the new image's name; the first two are new by then."""
    with aged.client("w1", LOCAL, PATIENT) as watched:
        with aged.started() as run:
            run.until(lambda: run.step("StepStarted", "cp1", "pod kube-apiserver"), within=240)
            aged.sh("cp3", f"ctr -n k8s.io images tag --force {PAUSE} {SERVER}")
            said = run.ended()
        watched.answered()
    said.check(13, "Not done:")
    said.names("cp3", "pod kube-apiserver", "was put back, and it serves again", "no further host was touched")
    assert images(aged) == [NEW, NEW, OLD]
    print(f"\n{watched.record.told()}")
    assert set(watched.record.acknowledged) <= aged.written()
    told = aged.run("status")
    told.check(told.code, f"kube-apiserver is {OLD}, cluster.yml says {NEW}")


def test_a_run_that_was_killed_is_gone_on_with(aged: Ha) -> None:
    """Also with what no operator can know: that an image is not what its name says."""
    with aged.client("w1", LOCAL, PATIENT) as watched:
        with aged.started() as run:
            run.until(lambda: run.step("StepStarted", "cp3", "pod kube-controller-manager"), within=240)
            run.send(signal.SIGKILL)
            run.child.wait(10)
        aged.apply().check(0)
        watched.answered()
    print(f"\n{watched.record.told()}")
    assert set(watched.record.acknowledged) <= aged.written()
    titles = [
        change["title"]
        for step in plan_of(aged)["steps"]
        if step["host"] in ("cp1", "cp2")
        for change in step["changes"]
    ]
    assert not [title for title in titles if title.startswith(("pod ", "unit "))], "what is new is left alone"


def test_everything_is_new_and_stays(aged: Ha) -> None:
    aged.until_good()
    assert versions(aged) == {NEW}
    assert {aged.sh(name, "kubeadm version -o short").strip() for name in (*aged.planes, "w1")} == {f"v{NEW}"}
    aged.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_nobody_goes_back_by_changing_a_number(aged: Ha) -> None:
    respec(aged, lambda data: data.update(kubernetes=OLD))
    try:
        said = aged.apply().check(12, "Nothing was done")
    finally:
        respec(aged, lambda data: data.update(kubernetes=NEW))
    said.names("cp1", "upgrade.check", f"{OLD} is older than {NEW}", f"set kubernetes in cluster.yml back to {NEW}")
