"""An upgrade is taken back, half done and finished: every managed file, link, unit, manifest and image as before."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import respec
from tests.e2e.upgrade.hosts import differences, reboot_with_a_broken_api_server, state
from tests.e2e.upgrade.test_upgrade import NEW, OLD, versions

pytestmark = pytest.mark.lab

HOSTS = ("cp1", "w1")
State = dict[str, list[str]]


@pytest.fixture(scope="module")
def aged() -> Iterator[Ha]:
    with made("rollback", control_planes=1, workers=1, kubernetes=OLD) as forge:
        respec(forge, lambda data: data.update(addons={}))
        forge.apply().check(0)
        forge.until_good()
        yield forge


@pytest.fixture(scope="module")
def before(aged: Ha) -> State:
    return state(aged, HOSTS)


def is_back(aged: Ha, before: State) -> None:
    aged.until_good()
    assert differences(before, state(aged, HOSTS)) == {}
    assert versions(aged) == {OLD}
    assert yaml.safe_load((aged.inventory / "cluster.yml").read_text())["kubernetes"] == OLD
    aged.run("plan", "--detailed-exitcode").check(0, "No changes.")
    aged.run("upgrade rollback", "--yes").check(12, "nothing to take back")


def test_a_finished_one_goes_back_and_keeps_what_was_written(aged: Ha, before: State) -> None:
    """Across a minor: components alone, as etcd's minor stays and nothing is stored that the older one cannot read."""
    aged.run(f"upgrade apply {NEW}", "--yes").check(0)
    assert versions(aged) == {NEW}
    aged.kubectl("create", "configmap", "written-since", "-n", "default")
    aged.run("upgrade rollback", "--yes").check(0)
    is_back(aged, before)
    assert "written-since" in aged.kubectl("get", "configmaps", "-n", "default")


MOMENTS = (
    *(("w1", "os.prepare"), ("cp1", "pod kube-apiserver"), ("cp1", "pod kube-scheduler")),
    *(("cp1", "kubelet.serves"), ("w1", "node")),
)


@pytest.mark.parametrize(("host", "step"), MOMENTS)
def test_a_half_done_one_goes_back(aged: Ha, before: State, host: str, step: str) -> None:
    with aged.starting(f"upgrade apply {NEW}") as run:
        run.until(lambda: run.step("StepStarted", host, step) or run.child.poll() == 0, within=240)
        run.send(signal.SIGKILL)
        run.child.wait(10)
    aged.run("upgrade rollback", "--yes").check(0)
    is_back(aged, before)


def test_from_the_snapshot_where_the_only_api_server_does_not_start(aged: Ha, before: State) -> None:
    """After a reboot its kubelet has had no answer from any API, either; and nobody can tell what is stored."""
    with aged.starting(f"upgrade apply {NEW}") as run:
        run.until(lambda: run.step("StepStarted", "cp1", "pod kube-scheduler"), within=240)
        run.send(signal.SIGKILL)
        run.child.wait(10)
    reboot_with_a_broken_api_server(aged, "cp1")
    aged.run("upgrade rollback", "--yes").check(12, "it is not known what the API served", "--from-snapshot")
    aged.run("upgrade rollback", "--from-snapshot", "--yes").check(0)
    is_back(aged, before)


def test_a_rollback_that_was_killed_is_gone_on_with(aged: Ha, before: State) -> None:
    aged.run(f"upgrade apply {NEW}", "--yes").check(0)
    with aged.starting("upgrade rollback") as run:
        run.until(lambda: run.step("StepStarted", "cp1", "pod kube-apiserver"), within=240)
        run.send(signal.SIGKILL)
        run.child.wait(10)
    aged.run("upgrade rollback", "--yes").check(0)
    is_back(aged, before)


def test_from_the_snapshot_where_nobody_knows_what_is_stored(aged: Ha, before: State) -> None:
    """Without the list of what was served before, an older API server might find what it cannot read."""
    aged.run(f"upgrade apply {NEW}", "--yes").check(0)
    aged.kubectl("create", "configmap", "lost", "-n", "default")
    aged.sh("cp1", "rm /var/lib/kubeforge/upgrade-served")
    refused = aged.run("upgrade rollback", "--yes")
    refused.check(12, "it is not known what the API served", "upgrade rollback --from-snapshot")
    assert versions(aged) == {NEW}
    aged.run("upgrade rollback", "--from-snapshot", "--yes").check(0, "is lost")
    aged.until_good()
    assert differences(before, state(aged, HOSTS)) == {}
    told = aged.kubectl("get", "configmaps", "-n", "default")
    assert "written-since" in told
    assert "lost" not in told
