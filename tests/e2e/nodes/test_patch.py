"""Packages, reboots, restarts and commands, host after host, under a service that must not stop.

The hosts have no package sources of their own: each gets a folder with packages made here.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.nodes.conftest import Fleet, fleet
from tests.e2e.nodes.test_drain import BUDGET, cordon, web
from tests.e2e.repository import offer

pytestmark = [pytest.mark.lab, pytest.mark.slow]

REBOOT = "touch /var/run/reboot-required; echo kf-demo >>/var/run/reboot-required.pkgs"


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """One control plane and two workers; on each, a package that is out of date, and a kubelet's beside it."""
    with fleet("patch", "cp1", "w1", "w2", control_planes=1, workers=2) as made:
        for name in ("cp1", "w1", "w2"):
            offer(made, name, "kf-demo", "1.0")
            offer(made, name, "kubelet", "1.0")
            made.sh(name, "dpkg -i /srv/repo/kf-demo_1.0.deb /srv/repo/kubelet_1.0.deb")
            offer(made, name, "kubelet", "2.0")
        yield made


def version(herd: Fleet, name: str, package: str) -> str:
    return herd.sh(name, f"dpkg-query -W -f '${{Version}}' {package}").strip()


def boot(herd: Fleet, name: str) -> str:
    return herd.sh(name, "cut -d ' ' -f 22 /proc/1/stat").strip()


def titles(herd: Fleet, host: str) -> list[str]:
    """Return what the last run had planned for a host, in order."""
    plan = json.loads((herd.runs()[-1] / "plan.json").read_text())
    return [change["title"] for step in plan["steps"] if step["host"] == host for change in step["changes"]]


@contextmanager
def never_without(herd: Fleet) -> Iterator[list[int]]:
    """Count the pods of web that are Ready, without rest; yields the counts."""
    herd.kubectl("apply", "-f", "-", stdin=web(2))
    herd.kubectl("apply", "-f", "-", stdin=BUDGET.replace("MIN", "1"))
    herd.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    counts: list[int] = []
    done = threading.Event()

    def count() -> None:
        while not done.wait(0.2):
            found = subprocess.run(
                herd.argv("kubectl", "--", "get", "deployment", "web", "-o", "json"),
                capture_output=True,
                text=True,
                check=False,
                env=herd.variables,
                timeout=60,
            )
            if found.returncode == 0:  # the API server of the only control plane may be away
                counts.append(json.loads(found.stdout)["status"].get("readyReplicas", 0))

    watcher = threading.Thread(target=count)
    watcher.start()
    try:
        yield counts
    finally:
        done.set()
        watcher.join()
        herd.kubectl("delete", "deployment,pdb", "web")


def test_nothing_due_touches_nothing(herd: Fleet) -> None:
    boots = {name: boot(herd, name) for name in ("cp1", "w1", "w2")}
    herd.run("patch", "--yes").check(0, "No changes.")
    assert boots == {name: boot(herd, name) for name in boots}


def test_the_plan_names_what_is_due_and_leaves_the_host_as_it_was(herd: Fleet) -> None:
    offer(herd, "w1", "kf-demo", "2.0", REBOOT)
    before = herd.sh("w1", "ls -lR --full-time /var/lib/apt /var/cache/apt /var/tmp /etc/apt")
    told = herd.run("patch", "--check").check(0, "package kf-demo", "1.0 becomes 2.0", "not known yet", "cordon w1")
    assert "kubelet" not in told.out
    assert "w2" not in told.out
    assert herd.sh("w1", "ls -lR --full-time /var/lib/apt /var/cache/apt /var/tmp /etc/apt") == before


def test_one_host_is_patched_and_rebooted_under_a_service(herd: Fleet) -> None:
    was, other = boot(herd, "w1"), boot(herd, "w2")
    with never_without(herd) as counts:
        herd.run("patch", "--yes").check(0)
    assert counts
    assert min(counts) >= 1, counts
    assert version(herd, "w1", "kf-demo") == "2.0"
    assert version(herd, "w1", "kubelet") == "1.0", "it is looked after by other verbs"
    assert (boot(herd, "w1") != was, boot(herd, "w2") == other) == (True, True)
    assert cordon(herd, "w1") == (False, False)
    assert {"cordon w1", "package kf-demo", "reboot", "host serves", "uncordon w1"} <= set(titles(herd, "w1"))
    herd.until_good(90)
    herd.run("patch", "--yes").check(0, "No changes.")
    herd.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_packages_that_need_no_reboot(herd: Fleet) -> None:
    offer(herd, "w2", "kf-demo", "2.0")
    was = boot(herd, "w2")
    herd.run("patch", "--yes", "--no-drain").check(0)
    assert (version(herd, "w2", "kf-demo"), boot(herd, "w2")) == ("2.0", was)
    assert "cordon w2" not in titles(herd, "w2")


def test_an_interrupted_dpkg_is_brought_to_its_end(herd: Fleet) -> None:
    offer(herd, "w2", "kf-half", "1.0", "[ -e /root/may ]")
    herd.sh("w2", "dpkg -i /srv/repo/kf-half_1.0.deb || true; touch /root/may")
    herd.run("patch", "--check").check(0, "was interrupted (kf-half)")
    herd.run("patch", "--yes").check(0)
    assert herd.sh("w2", "dpkg --audit") == ""
    assert version(herd, "w2", "kf-half") == "1.0"
    herd.run("patch", "--yes").check(0, "No changes.")


def test_a_package_that_fails_ends_the_run_before_the_next_host(herd: Fleet) -> None:
    for name in ("w1", "w2"):
        offer(herd, name, "kf-demo", "3.0", "[ -e /root/may-3 ]")
    said = herd.run("patch", "--yes", "--reboot", "never").check(13)
    said.names("w1", "patch.packages", "packages ended with status", "it goes on from here")
    assert version(herd, "w2", "kf-demo") == "2.0"
    assert (cordon(herd, "w1"), cordon(herd, "w2")) == ((True, True), (False, False))
    for name in ("w1", "w2"):
        herd.sh(name, "touch /root/may-3")
    herd.run("patch", "--yes", "--reboot", "never", "--serial", "2").check(0)
    assert [version(herd, name, "kf-demo") for name in ("w1", "w2")] == ["3.0", "3.0"]
    assert (cordon(herd, "w1"), cordon(herd, "w2")) == ((False, False), (False, False))


def test_sources_that_cannot_be_fetched_stop_everything_before_it_begins(herd: Fleet) -> None:
    offer(herd, "w1", "kf-demo", "4.0")
    herd.sh("w2", "echo 'deb [trusted=yes] file:/srv/nowhere ./' >>/etc/apt/sources.list")
    said = herd.run("patch", "--yes").check(12, "Nothing was done", "/srv/nowhere")
    said.names("w2", "patch.check", "cannot be upgraded", "sources.list")
    assert version(herd, "w1", "kf-demo") == "3.0"
    herd.sh("w2", "sed -i /nowhere/d /etc/apt/sources.list")
    herd.run("patch", "--yes").check(0)
    assert version(herd, "w1", "kf-demo") == "4.0"


def test_a_host_that_does_not_come_back_ends_the_run_and_is_gone_on_with(herd: Fleet) -> None:
    other = boot(herd, "w2")
    herd.sh("w1", "systemctl disable ssh.service ssh.socket 2>/dev/null || systemctl disable ssh")
    words = ("--reboot", "always", "-l", "kube_node", "--reboot-deadline", "25s", "-e", "ansible_timeout=3")
    said = herd.run("patch", "--yes", *words).check(15)
    said.names("w1", "reboot", "the host answers after its reboot: not within 25 s", "it goes on from here")
    assert boot(herd, "w2") == other
    assert cordon(herd, "w1") == (True, True)
    herd.sh("w1", "systemctl enable --now ssh")
    herd.run("patch", "--yes").check(0)
    assert titles(herd, "w1") == ["host serves", "uncordon w1"]
    assert cordon(herd, "w1") == (False, False)


def test_a_patch_that_was_killed_in_a_reboot_is_gone_on_with(herd: Fleet) -> None:
    argv = herd.argv("patch", "--yes", "--reboot", "always", "-l", "w1")
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=herd.variables) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "reboot: reboots" in line:
                break
        child.send_signal(signal.SIGKILL)
    wait_until(lambda: herd.nodes()["w1"], seconds=90)
    herd.run("patch", "--yes", "-l", "w1").check(0)
    assert titles(herd, "w1") == ["host serves", "uncordon w1"], "nothing is drained or rebooted twice"
    assert cordon(herd, "w1") == (False, False)


def test_the_only_control_plane_reboots_with_the_lock_it_holds(herd: Fleet) -> None:
    was = boot(herd, "cp1")
    said = herd.run("patch", "--yes", "--reboot", "always", "-l", "cp1").check(0)
    assert boot(herd, "cp1") != was
    assert "the run's lock is held again" in said.err
    herd.until_good(90)


def restarts(herd: Fleet) -> dict[str, int]:
    """Return how often each container of the cluster was started again."""
    found: dict[str, int] = {}
    for pod in herd.get("pods", "-A")["items"]:
        for one in pod["status"].get("containerStatuses", ()):
            found[f"{pod['metadata']['name']}/{one['name']}"] = one["restartCount"]
    return found


@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_restarts_leave_containers_alone(herd: Fleet, unit: str) -> None:
    script = f"systemctl show -P ExecMainStartTimestampMonotonic {unit}"
    before, counts = {name: herd.sh(name, script) for name in ("cp1", "w1", "w2")}, restarts(herd)
    herd.run(f"restart {unit}", "kube_control_plane:kube_node", "--yes", "--serial", "2").check(0)
    assert all(herd.sh(name, script) != was for name, was in before.items())
    assert restarts(herd) == counts
    herd.until_good(60)


def test_a_kubelet_that_does_not_come_back_ends_the_run(herd: Fleet) -> None:
    broken = "/etc/systemd/system/kubelet.service.d/99-broken.conf"
    was = herd.sh("w2", "systemctl show -P ExecMainStartTimestampMonotonic kubelet")
    herd.sh("w1", f"printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >{broken}; systemctl daemon-reload")
    try:
        said = herd.run("restart kubelet", "kube_node", "--yes").check(13)
        said.names("w1", "restart kubelet", "kubelet ends as soon as it is started", "journalctl")
        assert herd.sh("w2", "systemctl show -P ExecMainStartTimestampMonotonic kubelet") == was
    finally:
        herd.sh("w1", f"rm {broken}; systemctl daemon-reload; systemctl restart kubelet")
    herd.until_good(60)


def test_a_command_goes_from_host_to_host_and_stops_at_the_first_that_fails(herd: Fleet) -> None:
    said = herd.run("node exec", "kube_node", "--yes", "--", "hostname; echo done").check(0)
    assert "command: w1" in said.err
    assert "command: w2" in said.err
    line = 'touch /root/was-here; [ "$(hostname)" != w1 ]'
    said = herd.run("node exec", "kube_node", "--yes", "--drain", "--", line).check(13)
    said.names("w1", "command", "ended with status 1; no further host was begun", "kubeforge uncordon")
    assert "gone" in herd.sh("w2", "[ -e /root/was-here ] || echo gone")
    assert cordon(herd, "w1") == (True, True)
    herd.run("node exec", "w1", "--yes", "--", "true").check(0)
    assert cordon(herd, "w1") == (False, False), "what serves again is given back"


def test_pods_leave_before_a_command_where_that_is_asked_for(herd: Fleet) -> None:
    with never_without(herd) as counts:
        herd.run("node exec", "kube_node", "--yes", "--drain", "--", "true").check(0)
    assert min(counts) >= 1, counts
    assert (cordon(herd, "w1"), cordon(herd, "w2")) == ((False, False), (False, False))
