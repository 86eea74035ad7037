"""Hosts that reboot come back by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import BRIDGE, MAIN, Cluster, wait_until
from tests.e2e.test_network import HELLO, page

pytestmark = pytest.mark.clusters(MAIN, BRIDGE)


def test_control_plane_and_worker_at_once(cluster: Cluster, pages: str) -> None:
    """Without anybody's help; then kubeforge finds nothing to do."""
    rebooting = [cluster.first, cluster.workers[0]]
    ids = {name: cluster.sh(name, "cat /proc/1/stat") for name in rebooting}
    cluster.hang_up()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: cluster.lab("reboot", name, "--lab", cluster.name), rebooting))
    assert all(cluster.sh(name, "cat /proc/1/stat") != was for name, was in ids.items())
    wait_until(lambda: has_healed(cluster), seconds=120, why=lambda: state(cluster))
    wait_until(lambda: serves(cluster), seconds=60, why=lambda: state(cluster))
    told = cluster.forge("plan", "--detailed-exitcode", code=None)
    assert told.stdout.strip() == "No changes.", told.stdout
    for name in cluster.names:
        assert cluster.sh(name, "systemctl list-units --failed --plain --no-legend") == "", name


def has_healed(cluster: Cluster) -> bool:
    """Whether status is good, and every pod is Ready since its host came back."""
    if not cluster.is_good():
        return False
    pods = cluster.get("pods", "-A", "--field-selector=status.phase!=Succeeded")["items"]
    ready = [
        condition["status"] for pod in pods for condition in pod["status"]["conditions"] if condition["type"] == "Ready"
    ]
    return len(ready) == len(pods) and set(ready) == {"True"}


def serves(cluster: Cluster) -> bool:
    """Whether every node's NodePort and every worker's ingress lead to a pod."""
    import httpx2

    try:
        plain = [page(f"http://{cluster.address(name)}:30080/").text for name in cluster.names]
        routed = [page(f"http://{cluster.address(name)}/shop", "hello.example.test").text for name in cluster.workers]
    except httpx2.HTTPError:
        return False
    return all(HELLO in text for text in (*plain, *routed))


def state(cluster: Cluster) -> str:
    told = cluster.forge("status", code=None)
    return told.stdout + cluster.forge("kubectl", "--", "get", "pods", "-A", "-o", "wide", code=None).stdout
