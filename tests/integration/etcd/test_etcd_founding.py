"""Real etcd: members founded by restoring a snapshot of nothing, see ADR 0042."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.etcd import founding_snapshot

pytestmark = pytest.mark.lab

Make = Callable[[int], Any]


@pytest.mark.parametrize("count", [1, 3])
def test_founded_together_and_never_new(members: Make, count: int) -> None:
    made = members(count)
    made.chain()
    made.wait("m0")
    assert made.ask("m0", "put", "a", "1").returncode == 0
    for name in made.names:
        made.wait(name)
        assert made.ask(name, "get", "a", "--print-value-only").stdout == "1\n"
    listed = made.ask("m0", "member", "list").stdout
    assert listed.count("started") == count
    made.stop("m0")
    made.start("m0")
    made.wait("m0")
    assert made.ask("m0", "get", "a", "--print-value-only").stdout == "1\n"


def test_a_member_that_lost_its_data_does_not_boot_a_cluster_of_its_own(members: Make) -> None:
    made = members(1)
    made.found("m0")
    made.start("m0")
    made.wait("m0")
    made.stop("m0")
    shutil.rmtree(made.folder / "m0")
    made.start("m0")
    assert made.processes["m0"].wait(20) != 0
    assert b"cannot fetch cluster info from peer urls" in (made.folder / "m0.log").read_bytes()


def test_the_snapshot_is_one_to_etcdutl(program: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "nothing.db"
    path.write_bytes(founding_snapshot())
    told = subprocess.run(
        [program("etcdutl"), "snapshot", "status", str(path), "-w", "json"], capture_output=True, text=True, check=True
    )
    assert '"totalKey":0' in told.stdout
