"""A plan says what apply then does, line for line; then nothing is left to do, and a second apply does nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster, wait_until

pytestmark = pytest.mark.clusters(MAIN, OLDER, BRIDGE)

# Everything that a second run could disturb: files and their times, when units were started, which processes run.
_TOUCHED = """
find /etc /usr/local /opt /var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml \
    /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki /var/lib/kubeforge/generations /var/lib/kubeforge/store \
    -printf '%p %y %m %u:%g %s %T@\n' | sort
for unit in containerd kubelet; do systemctl show -p ActiveEnterTimestampMonotonic -p MainPID $unit; done
pgrep -a 'kube|etcd|coredns|flannel|traefik' | sort
"""


def lines(plan: dict[str, Any], *fields: str) -> list[tuple[Any, ...]]:
    """Return one line per planned change, in the plan's order."""
    return [
        (step["host"], step["play"], step["step"], *(change[name] for name in fields))
        for step in plan["steps"]
        for change in step["changes"]
    ]


def of(host: str, changes: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(change["title"], change["verb"]) for change in changes if change["host"] == host]


def test_apply_shows_the_plan_that_plan_showed(cluster: Cluster) -> None:
    fields = ("title", "verb", "why", "task", "secret")
    assert lines(cluster.planned, *fields) == lines(cluster.agreed, *fields)
    assert cluster.planned["failures"] == []


@pytest.mark.clusters(
    MAIN, OLDER
)  # bridge.routes is one line of the plan: which files it makes depends on pod networks
def test_apply_did_what_the_plan_says(cluster: Cluster) -> None:
    result = cluster.result
    assert (result["failures"], result["remaining"], result["exit_code"]) == ([], [], 0)
    for host in cluster.names:
        planned = [{**change, "host": step["host"]} for step in cluster.planned["steps"] for change in step["changes"]]
        assert of(host, result["done"]) == of(host, planned)


def test_the_plan_of_bare_hosts_names_every_part(cluster: Cluster) -> None:
    """That the two above agree proves nothing about an empty plan."""
    titles = {change["title"] for step in cluster.planned["steps"] for change in step["changes"]}
    assert {
        "file /etc/kubernetes/pki/ca.key",
        "file /etc/kubernetes/manifests/kube-apiserver.yaml",
        "unit kubelet.service",
        "object ConfigMap kube-system/kubeadm-config",
        *(f"node {name}" for name in cluster.names),
    } <= titles
    assert {host for host, *_ in lines(cluster.planned)} == set(cluster.names)


def test_nothing_is_left_to_do(cluster: Cluster) -> None:
    told = cluster.forge("plan", "--detailed-exitcode", code=0)
    assert told.stdout.strip() == "No changes."
    assert json.loads(cluster.forge("plan", "-o", "json").stdout)["steps"] == []


def test_a_second_apply_touches_nothing(cluster: Cluster) -> None:
    wait_until(lambda: all("containerStatuses" in pod["status"] for pod in cluster.get("pods", "-A")["items"]))
    before = touched(cluster)
    told = cluster.forge("apply", "--yes")
    assert told.stdout.strip() == "No changes."
    after = touched(cluster)
    for name, was in before.items():
        assert after[name] == was, f"{name}: {sorted(set(after[name]) ^ set(was))}"


def touched(cluster: Cluster) -> dict[str, list[str]]:
    """Return what a second apply must leave as it is: on every host, and in the API."""
    found = {name: cluster.sh(name, _TOUCHED).splitlines() for name in cluster.names}
    assert all(any("MainPID=" in line for line in listed) for listed in found.values())
    kinds = "configmaps,secrets,roles,rolebindings,clusterroles,clusterrolebindings,daemonsets,deployments,services"
    objects = cluster.get(kinds, "-A")["items"]
    # a workload's status moves by itself; what anybody has asked of it is its generation
    found["objects"] = [
        f"{one['kind']} {meta.get('namespace')}/{meta['name']} {meta.get('generation', meta['resourceVersion'])}"
        for one in objects
        for meta in (one["metadata"],)
    ]
    found["pods"] = [
        f"{pod['metadata']['name']} {pod['metadata']['uid']} {status['name']} {status['restartCount']}"
        for pod in cluster.get("pods", "-A")["items"]
        for status in pod["status"]["containerStatuses"]
    ]
    return found


def test_the_record_of_the_run_holds_no_secret(cluster: Cluster) -> None:
    """Plan, events and result are kept on this machine; the cluster's keys and tokens are not."""
    texts = {path: path.read_text() for path in cluster.state.rglob("*") if path.is_file()}
    assert len(texts) >= 3
    (token,) = [
        one["data"]["token-secret"]
        for one in cluster.get("secrets", "-n", "kube-system")["items"]
        if one["type"] == "bootstrap.kubernetes.io/token"
    ]
    for path, text in texts.items():
        assert "PRIVATE KEY" not in text, path
        assert base64.b64decode(token).decode() not in text, path
        assert path.stat().st_mode & 0o077 == 0, path
