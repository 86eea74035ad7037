"""An upgrade of one control plane and one worker that is killed after every single step, and ends upgraded.

Each run is killed with -9 as soon as it has ended a step that no run before had ended, so together they are cut off at
every boundary there is. A gate is asked by every run before what it guards, and would hold up all runs alone.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.conftest import wait_until
from tests.e2e.faults.conftest import Started
from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import flag, respec
from tests.e2e.upgrade.hosts import reboot_with_a_broken_api_server
from tests.e2e.upgrade.test_upgrade import NEW, OLD, versions

pytestmark = pytest.mark.lab

STOPS = ("drain ", "unit kubelet", "unit containerd", "artifact /usr/local/bin/kubelet")
MOST = 80
"""Runs; an upgrade of two hosts has about thirty steps."""


@pytest.fixture(scope="module")
def aged() -> Iterator[Ha]:
    with made("walk", control_planes=1, workers=1, kubernetes=OLD) as forge:
        respec(forge, lambda data: data.update(addons={}))
        forge.apply().check(0)
        forge.until_good()
        yield forge


def ended(run: Started) -> set[tuple[str, str]]:
    """Return the steps that a run has ended so far: host and step."""
    return {(event["host"], event["step"]) for event in run.events if event["event"] == "StepDone"}


def walked(forge: Ha) -> list[list[tuple[str, str]]]:
    """Upgrade, killed after each step; return what each run had done: host and step."""
    done: list[list[tuple[str, str]]] = []
    for _ in range(MOST):
        known = {step for steps in done for step in steps}
        with forge.starting(f"upgrade apply {NEW}") as run:
            while run.child.poll() is None:
                if ended(run) - known:
                    run.send(signal.SIGKILL)
                    run.child.wait(10)
            done.append(sorted(ended(run)))
            if run.child.returncode != -signal.SIGKILL:
                run.said().check(0)
                return done
    pytest.fail(f"not done after {MOST} runs: {done[-3:]}")


def test_it_ends_upgraded(aged: Ha) -> None:
    done = walked(aged)
    print(f"\n{len(done)} runs")
    aged.until_good()
    assert versions(aged) == {NEW}
    assert yaml.safe_load((aged.inventory / "cluster.yml").read_text())["kubernetes"] == NEW
    aged.run("plan", "--detailed-exitcode").check(0, "No changes.")
    snapshots = json.loads(aged.run("etcd snapshot list", "-o", "json").out)
    asked = [one for one in snapshots["snapshots"] if one["reason"].startswith("before the upgrade")]
    assert len({one["name"] for one in asked}) == 1, "one snapshot for one upgrade"


def test_nothing_is_done_twice(aged: Ha) -> None:
    """What stops or drains anything was begun once, or was cut off and seen to its end by the next run."""
    done: dict[tuple[str, str], list[str]] = {}
    for number, run in list(enumerate(aged.runs()))[1:]:  # the first has founded the cluster
        for line in (run / "events.jsonl").read_text().splitlines(keepends=True):
            event = json.loads(line) if line.endswith("\n") else {"event": "cut off"}
            if event["event"] == "ChangeDone" and event["title"].startswith(STOPS):
                done.setdefault((event["host"], event["title"]), []).append(f"run {number}: {event}")
    assert {key: told for key, told in done.items() if len(told) > 1} == {}


def test_a_second_run_changes_nothing(aged: Ha) -> None:
    aged.run(f"upgrade apply {NEW}", "--yes").check(0, "No changes.")


SCHEDULER = "/etc/kubernetes/manifests/kube-scheduler.yaml"


def killed_while_away(aged: Ha, lines: str) -> None:
    """Change the scheduler's log level; end the controller with -9 while there is no manifest (ADR 97)."""
    respec(aged, flag("v", lines, "scheduler"))
    with aged.started() as run:
        run.until(lambda: aged.sh("cp1", f"test -e {SCHEDULER} || echo away").strip() == "away", within=180)
        run.send(signal.SIGKILL)
        run.child.wait(10)


def is_as_wanted(aged: Ha, lines: str) -> None:
    aged.good()
    assert f"--v={lines}" in aged.sh("cp1", f"cat {SCHEDULER}")


def test_a_manifest_that_is_away_comes_without_the_controller(aged: Ha) -> None:
    killed_while_away(aged, "1")
    wait_until(lambda: "--v=1" in aged.sh("cp1", f"cat {SCHEDULER} || :"), seconds=60)
    is_as_wanted(aged, "1")


def test_power_goes_while_a_manifest_is_away(aged: Ha) -> None:
    """The host is a living control plane for all that, and is not founded anew."""
    killed_while_away(aged, "3")
    aged.lab.host("cp1").kill()
    aged.lab.host("cp1").start()
    is_as_wanted(aged, "3")


def test_an_api_server_that_does_not_start_is_mended_after_a_reboot_too(aged: Ha) -> None:
    """Its kubelet has had no answer from any API since: by itself it would end no pod, and begin no other."""
    reboot_with_a_broken_api_server(aged, "cp1")
    aged.good()
    assert "no-such-flag" not in aged.sh("cp1", "cat /etc/kubernetes/manifests/kube-apiserver.yaml")


def test_older_and_unknown_versions_are_refused(aged: Ha) -> None:
    aged.run(f"upgrade apply {OLD}", "--yes").check(10, f"{OLD} is older than {NEW}", "upgrade rollback")
    aged.run("upgrade apply 1.99.0", "--yes").check(10, "1.99")
    respec(aged, lambda data: data.update(kubernetes=OLD))
    aged.apply().check(12, f"set kubernetes in cluster.yml back to {NEW}", "kubeforge upgrade rollback")
    respec(aged, lambda data: data.update(kubernetes=NEW))
