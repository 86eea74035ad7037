"""Somebody walks away from kubeforge: kubeadm takes the cluster to the next minor. And comes back: apply keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, Variant, wait_until
from tests.e2e.join.conftest import SPEC, bare, edited
from tests.e2e.join.test_join import ANYHOW

OLD, NEW = "1.35.4", "1.36.3"


@pytest.fixture(scope="module")
def left(labs: Path) -> Iterator[Cluster]:
    """A cluster of the older minor; programs and images of the newer one lie on its hosts."""
    with bare(labs, "kf-leave", Variant(version=OLD, workers=1, spec=SPEC)) as cluster:
        cluster.forge("apply", "--yes")
        edited(cluster.folder / "inventory/cluster.yml", {"kubernetes": NEW})
        cluster.forge("apply", "--yes", "--tags", "prepare")
        yield cluster


def test_kubeadm_takes_the_control_plane_to_the_next_minor(left: Cluster) -> None:
    assert f"kubeadm upgrade apply v{NEW}" in left.sh(left.first, f"kubeadm upgrade plan v{NEW} {ANYHOW} 2>&1")
    said = left.sh(left.first, f"kubeadm upgrade apply v{NEW} --yes {ANYHOW} 2>&1")
    assert f'A control plane node of your cluster was upgraded to "v{NEW}"' in said
    left.sh(left.first, "systemctl restart kubelet")


def test_and_then_the_worker(left: Cluster) -> None:
    said = left.sh("w1", f"kubeadm upgrade node {ANYHOW} 2>&1")
    assert "configuration for this node was successfully upgraded" in said
    left.sh("w1", "systemctl restart kubelet")
    wait_until(left.is_good, seconds=120, why=lambda: left.forge("status", code=None).stdout)
    status = json.loads(left.forge("status", "-o", "json").stdout)
    assert status["kubernetes"]["version"] == NEW
    assert {one["version"] for one in (*status["nodes"], *status["components"])} == {NEW}


def test_apply_takes_it_back_as_it_is(left: Cluster) -> None:
    left.forge("apply", "--yes")
    # apply waits until CoreDNS answers, not until the last of its pods is of the new template
    wait_until(left.is_good, why=lambda: left.forge("status", code=None).stdout)
    assert "No changes." in left.forge("plan", "--detailed-exitcode").stdout
