"""A cluster of cp1 and w1, and two hosts beside it that kubeadm shall bring in: w2 as worker, w3 as control plane.

All four are prepared (programs and images are there), as they would be by packages and a registry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.documents import dump, merged
from tests.e2e.conftest import Cluster, Variant

SPARE = ("w2", "w3")
SPEC = {
    "endpoint": {"kind": "first"},
    # said for all hosts, because kubeadm join takes what the cluster says and nothing of the host
    "kubelet": {"config": {"failCgroupV1": False}},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.lab)


def edited(file: Path, over: Mapping[str, Any]) -> None:
    """Lay something over a YAML file."""
    file.write_text(dump(merged(yaml.safe_load(file.read_text()), over)))


def list_hosts(cluster: Cluster, *left_out: str) -> None:
    """Write hosts.yml: all hosts but some; w3 is a control plane."""
    target = cluster.folder / "inventory/hosts.yml"
    whole = cluster.folder / "hosts-whole.yml"
    if not whole.exists():
        shutil.copy(target, whole)
    data = yaml.safe_load(whole.read_text())
    planes, workers = (data["all"]["children"][group]["hosts"] for group in ("kube_control_plane", "kube_node"))
    planes["w3"] = workers.pop("w3")
    for name in left_out:
        planes.pop(name, None)
        workers.pop(name, None)
    target.write_text(yaml.safe_dump(data))


@contextmanager
def bare(labs: Path, name: str, variant: Variant, *words: str) -> Iterator[Cluster]:
    """Make hosts, and take them down in the end; `words`: what else `lab up` is told."""
    environment = {**os.environ, "KUBEFORGE_LABS": str(labs), "KUBEFORGE_STATE": str(labs / "state"), "COLUMNS": "200"}
    environment.pop("KUBEFORGE_INVENTORY", None)
    cluster = Cluster(name=name, folder=labs / name, variant=variant, environment=environment)
    try:
        cluster.lab("up", name, "--workers", str(variant.workers), "--kubernetes", variant.version, *words)
        edited(cluster.folder / "inventory/cluster.yml", variant.spec)
        yield cluster
    finally:
        if cluster.folder.exists():
            cluster.hang_up()
        cluster.lab("down", name)
        shutil.rmtree(labs / "state", ignore_errors=True)


@pytest.fixture(scope="module")
def grown(labs: Path) -> Iterator[Cluster]:
    """The cluster that is to grow; its inventory does not know the spare hosts."""
    with bare(labs, "kf-join", Variant(version="1.36.3", workers=3, spec=SPEC)) as cluster:
        list_hosts(cluster)
        cluster.forge("apply", "--yes", "--tags", "prepare")
        list_hosts(cluster, *SPARE)
        cluster.forge("apply", "--yes")
        yield cluster
