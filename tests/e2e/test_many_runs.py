"""Run after run changes the hosts: old generations and programs go, and the cluster misses none of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kubeforge.engine.collecting import KEPT
from kubeforge.spec.paths import BIN, CNI_BIN, GENERATIONS, STORE
from tests.e2e.conftest import Cluster, documents

SYSCTL = "net.core.somaxconn"


@pytest.fixture(scope="module", autouse=True)
def as_it_was(cluster: Cluster) -> Iterator[None]:
    """The tests after these find the cluster.yml that they know."""
    file = cluster.folder / "inventory/cluster.yml"
    before = file.read_text()
    yield
    file.write_text(before)
    cluster.forge("apply", "--yes")


def collected(cluster: Cluster, result: dict[str, Any]) -> list[dict[str, Any]]:
    """What the run's journal says went."""
    journal = "".join(file.read_text() for file in cluster.state.glob(f"runs/*/{result['run_id']}/*.jsonl"))
    return [json.loads(line) for line in journal.splitlines() if '"Collected"' in line]


def changed(cluster: Cluster, value: int) -> dict[str, Any]:
    """Apply a cluster.yml with another kernel parameter; return the run's result."""
    file = cluster.folder / "inventory/cluster.yml"
    data = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**data, "os": {"sysctls": {SYSCTL: str(value)}}}))
    plan, result = documents(cluster.forge("apply", "--yes", "-o", "json").stdout)
    planned = {(step["host"], change["title"]) for step in plan["steps"] for change in step["changes"]}
    assert {(done["host"], done["title"]) for done in result["done"]} == planned, "collecting is no line of the plan"
    return dict(result)


def stored(cluster: Cluster, name: str) -> set[str]:
    return set(cluster.sh(name, f"ls {STORE}").split())


def test_old_generations_and_unused_programs_go(cluster: Cluster) -> None:
    programs = {name: stored(cluster, name) for name in cluster.names}
    kept = {name: int(cluster.sh(name, f"ls -d {GENERATIONS}/[1-9]*-* | wc -l")) for name in cluster.names}
    for name in cluster.names:
        cluster.sh(name, f"echo unused >{STORE}/{'0' * 64}")  # as a run that was cut off leaves it
    went: list[dict[str, Any]] = []
    for number in range(KEPT + 1):
        went += collected(cluster, changed(cluster, 5000 + number))
    for name in cluster.names:
        mine = [each for each in went if each["host"] == name]
        assert sum(each["generations"] for each in mine) == kept[name] + 1
        assert sum(each["programs"] for each in mine) == 1
        assert stored(cluster, name) == programs[name]
        assert int(cluster.sh(name, f"ls -d {GENERATIONS}/[1-9]*-* | wc -l")) == KEPT
        links = f"find {BIN} {CNI_BIN} -lname '{STORE}/*'"
        assert cluster.sh(name, links).split()
        assert cluster.sh(name, f"{links} -exec test ! -e {{}} \\; -print") == "", "a link that leads nowhere"


def test_nothing_is_left_to_do_and_the_cluster_is_good(cluster: Cluster) -> None:
    assert cluster.forge("plan", "--detailed-exitcode").stdout.strip() == "No changes."
    assert cluster.is_good()
    value = cluster.sh(cluster.first, f"sysctl -n {SYSCTL}").strip()
    assert value == str(5000 + KEPT)
