"""A run with nothing to do over lab hosts: threads here against workers of dask on the same machine.

.venv/bin/python -m tests.bench.executors --hosts 50
Needs root (the lab) and the extra `dask`. On one machine the workers share its processors with hosts and controller:
what is compared is the controller's own processor time, and that the wall time bears it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubeforge import tasks
from kubeforge.engine.dask.executor import DaskExecutor
from kubeforge.engine.dask.remotes import NearRemotes
from kubeforge.engine.dask.seal import KEY_VARIABLE
from kubeforge.engine.model import Context, Task
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.remotes import ConnectedRemotes, Remotes
from kubeforge.engine.run import Session
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.lab import Lab
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File

LAB = "bench-executors"
FILES = 30
FOLDER = "/etc/kubeforge-bench"
BOOK = "- {play: Write, hosts: all, tasks: [bench.files]}"


def files(_context: Context) -> Any:
    """Thirty small files in a folder."""
    yield Directory(path=FOLDER)
    for number in range(FILES):
        yield File(path=f"{FOLDER}/{number}", content=b"x" * 200)


def main() -> None:
    """Measure both, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("build/bench/executors.json"))
    options = parser.parse_args()
    figures: dict[str, list[dict[str, float]]] = {"threads": [], "dask": []}
    with Lab.up(LAB, control_planes=0, workers=options.hosts) as lab, workers(options.workers) as address:
        inventory = load(lab.inventory)
        measure(inventory, None)  # the files are written
        for _ in range(options.turns):  # in turns, so that the machine's moods meet both
            figures["threads"].append(measure(inventory, None))
            figures["dask"].append(measure(inventory, address))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    for name, runs in figures.items():
        middle = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        print(f"{name:8s} wall {middle['wall']:.2f} s, controller {middle['processor']:.2f} s")
    for what in ("wall", "processor"):
        ratios = [dask[what] / threads[what] for threads, dask in zip(*figures.values(), strict=True)]
        print(
            f"{what} of dask over threads', turn by turn: median {statistics.median(ratios):.2f}, min {min(ratios):.2f}"
        )


@contextmanager
def workers(number: int) -> Iterator[str]:
    """Start a scheduler and workers, processes of their own; yield the executor's address."""
    from distributed.deploy.subprocess import SubprocessCluster

    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
        os.environ[KEY_VARIABLE] = str(key)  # the workers are our children
        with SubprocessCluster(n_workers=number, threads_per_worker=50, dashboard_address=":0") as cluster:
            yield cluster.scheduler_address.replace("tcp://", "dask://")


def measure(inventory: Inventory, address: str | None) -> dict[str, float]:
    """One run: seconds, and what this process worked."""
    registry = {**tasks.load(), "bench.files": Task(name="bench.files", function=files)}
    own: Remotes = ConnectedRemotes(inventory)
    remotes = NearRemotes(inventory, own, DaskExecutor.of(address)) if address else own
    begin, worked = time.monotonic(), time.process_time()
    with Session(
        inventory=inventory,
        playbook=parse(BOOK, registry),
        registry=registry,
        remotes=remotes,
        exclusive=False,
        record=False,
    ) as session:
        result = session.apply(session.plan())
    if result.failures:
        raise SystemExit(str(result.failures[0]))
    return {"wall": time.monotonic() - begin, "processor": time.process_time() - worked}


if __name__ == "__main__":
    main()
