"""Three control planes and two workers go to the next minor under clients that never rest, of the API and of a page.

With a budget, two replicas and a drain of each worker. No request fails; what breaks goes back by itself; a run that
was killed is gone on with.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import LOCAL, PATIENT, POLLS, flag, respec
from tests.e2e.upgrade.hosts import reboot_with_a_broken_api_server
from tests.e2e.upgrade.test_upgrade import NEW, OLD, PAUSE, SERVER, images, versions

pytestmark = pytest.mark.lab

PORT = 30080
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 8
      topologySpreadConstraints:
        - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
            labelSelector: {{matchLabels: {{app: web}}}}}}
      containers:
        - name: web
          image: localhost/kubeforge/hello:1
          imagePullPolicy: Never
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
          lifecycle: {{preStop: {{sleep: {{seconds: 3}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web, namespace: default}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{type: NodePort, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, nodePort: {PORT}}}]}}
"""


# The program in the store that is the new kubelet when it is called so: from source all of Kubernetes is one (ADR 15).
FIND = f"""
for file in /var/lib/kubeforge/store/sha256/*; do
    ln -sfn "$file" /root/kubelet
    [ "$(/root/kubelet --version 2>/dev/null || :)" != "Kubernetes v{NEW}" ] || echo "$file"
done | head -n 1
"""


@dataclass
class Visits:
    """Requests for the page, each on a connection of its own."""

    url: str
    good: int = 0
    bad: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopped.wait(1 / POLLS):
            try:
                httpx2.get(self.url, trust_env=False, timeout=5).raise_for_status()
                self.good += 1
            except httpx2.HTTPError as error:
                self.bad.append(f"{time.monotonic():.1f} {type(error).__name__}: {error}")


@contextmanager
def visited(forge: Ha) -> Iterator[Visits]:
    """Ask for the page through a control plane's node port, which no drain empties."""
    visits = Visits(f"http://{forge.lab.host('cp1').address}:{PORT}/")
    thread = threading.Thread(target=visits.run)
    thread.start()
    try:
        yield visits
    finally:
        visits.stopped.set()
        thread.join()


@pytest.fixture(scope="module")
def aged() -> Iterator[Ha]:
    """A living cluster of the older minor that serves a page."""
    with made("traffic", control_planes=3, workers=2, kubernetes=OLD) as forge:
        forge.apply().check(0)
        forge.until_good()
        forge.kubectl("apply", "-f", "-", stdin=WEB)
        wait_until(
            lambda: forge.get("deployment", "web", "-n", "default")["status"].get("readyReplicas") == 2,
            why=lambda: forge.kubectl("get", "pods", "-A", "-o", "wide"),
        )
        yield forge


def drained(forge: Ha) -> list[str]:
    """Return the hosts whose drain has ended in some run, once for each time."""
    lines = [line for run in forge.runs() for line in (run / "events.jsonl").read_text().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [one["host"] for one in events if one["event"] == "StepDone" and one["step"].startswith("drain")]


def test_parts_come_first_and_stop_nothing(aged: Ha) -> None:
    started = aged.sh("w1", "systemctl show -P ActiveEnterTimestamp kubelet containerd")
    aged.run(f"upgrade apply {NEW}", "--yes", "--tags", "prepare").check(0)
    assert aged.sh("w1", "systemctl show -P ActiveEnterTimestamp kubelet containerd") == started
    assert versions(aged) == {OLD}


def test_a_broken_api_server_is_back_by_itself(aged: Ha) -> None:
    """The third control plane has something else under the new image's name; the endpoint is never lost."""
    with aged.client("w1", LOCAL, PATIENT) as watched:
        with aged.starting(f"upgrade apply {NEW}") as run:
            run.until(lambda: run.step("StepStarted", "cp1", "pod kube-apiserver"), within=300)
            aged.sh("cp3", f"ctr -n k8s.io images tag --force {PAUSE} {SERVER}")
            said = run.ended()
        watched.answered()
    said.check(13, "Not done:")
    said.names("cp3", "pod kube-apiserver", "was put back, and it serves again", "no further host was touched")
    assert images(aged) == [NEW, NEW, OLD]
    print(f"\n{watched.record.told()}")
    assert watched.record.failures == {}


@pytest.mark.parametrize(("host", "step"), [("cp3", "pod kube-apiserver"), ("cp3", "kubelet.serves"), ("w1", "drain")])
def test_killed_at_a_boundary(aged: Ha, host: str, step: str) -> None:
    kill_at(aged, host, step)


def kill_at(aged: Ha, host: str, step: str) -> None:
    """Upgrade until a host begins with a step; one that is done already lets it end."""
    with aged.starting(f"upgrade apply {NEW}") as run:
        run.until(lambda: run.step("StepStarted", host, step) or run.child.poll() == 0, within=300)
        run.send(signal.SIGKILL)
        run.child.wait(10)


def test_no_request_fails(aged: Ha) -> None:
    with visited(aged) as visits, aged.client("w1", LOCAL, PATIENT) as watched:
        aged.run(f"upgrade apply {NEW}", "--yes").check(0)
        watched.answered()
    record = watched.record
    print(f"\n{record.told()}\n{visits.good} pages")
    assert visits.bad == []
    assert record.failures == {}
    assert set(record.acknowledged) <= aged.written()
    assert sorted(drained(aged)) == ["w1", "w2"], "each once, in all runs"
    aged.until_good()
    assert versions(aged) == {NEW}
    aged.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_nor_on_the_way_back(aged: Ha) -> None:
    with visited(aged) as visits, aged.client("w1", LOCAL, PATIENT) as watched:
        aged.run("upgrade rollback", "--yes").check(0)
        watched.answered()
    print(f"\n{watched.record.told()}\n{visits.good} pages")
    assert visits.bad == []
    assert watched.record.failures == {}
    aged.until_good()
    assert versions(aged) == {OLD}


def test_nor_while_etcd_changes(aged: Ha) -> None:
    """Each API server ends before the etcd beside it does; 1.35 and 1.36 share an etcd, so a flag changes.

    A write that one member passes on to a leader which just hands over is dropped by raft, and answered after etcd's
    own 7 s: that can be had of each handover by each of the two clients that write, and nothing else.
    """
    respec(aged, flag("heartbeat-interval", "200", "etcd"))
    with aged.client("w1", LOCAL, PATIENT) as watched:
        aged.apply().check(0)
        watched.answered()
    print(f"\n{watched.record.told()}")
    failures = watched.record.failures
    assert failures.keys() <= {"writer", "changer"}
    assert all("etcdserver: request timed out" in told for bad in failures.values() for _, told in bad)
    assert max(map(len, failures.values()), default=0) <= len(aged.planes)
    assert set(watched.record.acknowledged) <= aged.written()


def test_half_of_it_goes_back_where_an_api_server_did_not_survive_a_reboot(aged: Ha) -> None:
    """Its kubelet has had no answer from it since: by itself it would end no pod, and begin no other."""
    kill_at(aged, "cp3", "pod kube-scheduler")
    reboot_with_a_broken_api_server(aged, "cp3")
    aged.run("upgrade rollback", "--yes").check(0)
    aged.until_good()
    assert versions(aged) == {OLD}
    aged.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_a_kubelet_of_another_minor_restarts_no_static_pod(aged: Ha) -> None:
    """The newer one takes the older one's place for a moment; etcd and the API server run on, by their processes."""
    aged.run(f"upgrade apply {NEW}", "--yes", "--tags", "prepare").check(0)
    pids = "pgrep -x etcd; pgrep -x kube-apiserver"
    before, old = aged.sh("cp1", pids), aged.sh("cp1", "readlink /usr/local/bin/kubelet").strip()
    new = aged.sh("cp1", FIND).strip()
    switch = "ln -sfn {} /usr/local/bin/kubelet && systemctl restart kubelet"
    try:
        aged.sh("cp1", switch.format(new))
        wait_until(
            lambda: aged.get("node", "cp1")["status"]["nodeInfo"]["kubeletVersion"] == f"v{NEW}",
            why=lambda: aged.sh("cp1", "journalctl -u kubelet -n 30 --no-pager"),
        )
        assert aged.sh("cp1", pids) == before
    finally:
        aged.sh("cp1", switch.format(old))
