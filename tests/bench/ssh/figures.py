"""One run of a contender, and what comes out of several: CPU per host, memory, wall."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from typing import Any

from tests.bench.ssh.contenders import Call, Hosts
from tests.bench.ssh.farm import Farm
from tests.bench.ssh.meter import measure


def near(targets: Farm, name: str, count: int) -> Hosts:
    """Return so many hosts of the farm, named after who works on them."""
    return Hosts(
        names=tuple(f"{name}{number}" for number in range(count)),
        addresses=tuple(targets.address(number) for number in range(count)),
        port=targets.port,
    )


def make_folders(targets: Farm, hosts: Hosts) -> None:
    """Make each host's folder: what the job is done in."""
    for host in hosts.names:
        (targets.folder / "hosts" / host / "d0").mkdir(parents=True, exist_ok=True)


def run(call: Call, targets: Farm) -> dict[str, Any]:
    """Run a command; return its cost and the targets'."""
    before = targets.settle()
    try:
        cost = measure(call.argv, environment=call.environment, folder=targets.folder)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(call.argv)} failed:\n{error.output[-3000:]}") from error
    found: dict[str, Any] = {
        "wall": cost.wall,
        "client_cpu": cost.client_cpu,
        "target_cpu": targets.settle() - before,
        "memory": cost.memory,
    }
    if cost.output.startswith("{"):
        found |= {f"own_{key}": value for key, value in json.loads(cost.output).items()}
    return found


def medians(runs: list[dict[str, Any]], hosts: int) -> dict[str, Any]:
    """Return the median of each figure; CPU per host in milliseconds, memory in MiB."""
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    made = {
        "wall_s": round(middle["wall"], 3),
        "client_ms_per_host": round(1000 * middle["client_cpu"] / hosts, 2),
        "target_ms_per_host": round(1000 * middle["target_cpu"] / hosts, 2),
        "memory_mib": round(middle["memory"] / 2**20, 1),
    }
    if "own_run_seconds" in middle:
        made |= {
            "without_start_s": round(middle["own_run_seconds"], 3),
            "without_start_client_ms_per_host": round(1000 * middle["own_run_cpu"] / hosts, 2),
            "peak_rss_mib": round(middle["own_memory"] / 2**20, 1),
            "changed": middle["own_changed"],
        }
    return made


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
