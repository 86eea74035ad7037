"""The end of a cluster: one host leaves, then all; hosts are as they were before. Then they are used again."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster, wait_until

# What may be otherwise than before the first apply, and why. Everything else is a fault.
STAYS = {
    "logs stay; only those of pods go": r"path /var/log/",
    "packages stay (none is installed on hosts of the lab)": r"(path|content) /(var/lib/dpkg|var/cache/apt|etc/apt)/",
    "made by mount(8) at its first use, empty": r"run mount$",
    "useradd's own backups": r"content \S+ +/etc/(passwd|group|shadow|gshadow)-$",
    "a reboot gives systemd's own services new private folders": r"path /var/tmp/systemd-private-",
    "systemd's own, which come and go": r"unit (systemd-\S+|dbus\S*|run-\S+|sys-\S+|user\S*) ",
    "mount of credentials for systemd-sysctl, which ran": r"mount /run/credentials/",
    "what a reboot of the host starts otherwise": r"process (/lib/systemd/|/usr/bin/dbus-daemon)",
}
ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern in STAYS.values()))


def difference(before: list[str], after: list[str]) -> list[str]:
    """Return what is gone (-) and what has come (+), but for what is named above."""
    gone = [f"- {line}" for line in sorted(set(before) - set(after)) if not ALLOWED.match(line)]
    come = [f"+ {line}" for line in sorted(set(after) - set(before)) if not ALLOWED.match(line)]
    return [*gone, *come]


@pytest.mark.parametrize("kind", ["path", "content", "unit", "mount", "link", "nft", "process", "sysctl", "route"])
def test_the_comparison_sees_a_running_cluster(cluster: Cluster, kind: str, running: dict[str, list[str]]) -> None:
    """A comparison that finds nothing proves something only where it finds what is there."""
    found = difference(cluster.before[cluster.first], running[cluster.first])
    assert [line for line in found if line.startswith(f"+ {kind} ")], kind


@pytest.fixture(scope="session")
def running(cluster: Cluster) -> dict[str, list[str]]:
    """What the hosts are made of while the cluster runs."""
    return cluster.snapshots()


def test_one_worker_leaves_and_comes_back(cluster: Cluster) -> None:
    leaving = cluster.workers[-1]
    cluster.forge("reset", "--yes", "--limit", leaving)
    assert leaving not in [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    assert difference(cluster.before[leaving], cluster.snapshots()[leaving]) == []
    assert cluster.forge("kubectl", "--", "get", "nodes").stdout.count(" Ready ") == len(cluster.names) - 1
    cluster.forge("apply", "--yes")
    wait_until(cluster.is_good, seconds=30, why=lambda: cluster.forge("status", code=None).stdout)


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_reset_leaves_nothing(cluster: Cluster) -> None:
    told = cluster.forge("reset", "--yes", "-o", "json").stdout
    assert '"object Node' not in told, "a cluster that goes as a whole is not told"
    after = cluster.snapshots()
    found = {name: difference(cluster.before[name], after[name]) for name in cluster.names}
    assert not any(found.values()), json.dumps(found, indent=1)


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_a_second_reset_has_nothing_to_do(cluster: Cluster) -> None:
    assert cluster.forge("reset", "--yes").stdout.strip() == "No changes."


def test_hosts_can_be_used_again(cluster: Cluster) -> None:
    """All that a first apply makes is made again, and it is good once its static pods have had their startup probes."""
    agreed = json.loads(cluster.forge("plan", "-o", "json").stdout)
    titles = [change["title"] for step in agreed["steps"] for change in step["changes"]]
    first = [change["title"] for step in cluster.planned["steps"] for change in step["changes"]]
    assert sorted(titles) == sorted(first)
    cluster.forge("apply", "--yes")
    assert cluster.forge("plan", "--detailed-exitcode").stdout.strip() == "No changes."
    wait_until(cluster.is_good, seconds=30, why=lambda: cluster.forge("status", code=None).stdout)
