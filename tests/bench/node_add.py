"""A worker joins a living cluster: from the command to its end, when its pods resolve names.

Its files are there before. The worker leaves again after each turn, and its files are put there anew; neither is
measured.

.venv/bin/python -m tests.bench.node_add --control-planes 1 --workers 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import yaml

from kubeforge.lab import Lab
from tests.bench.birth import LAB, kubeforge, processor_seconds
from tests.bench.noop import SETTLES


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control-planes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="beside the one that joins")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("build/bench/node-add.json"))
    options = parser.parse_args()
    joins = f"w{options.workers + 1}"
    with Lab.up(LAB, control_planes=options.control_planes, workers=options.workers + 1) as lab:
        file = lab.inventory / "hosts.yml"
        everybody = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(without(everybody, joins), sort_keys=False))
        kubeforge(lab, "apply", "--yes")
        file.write_text(yaml.safe_dump(everybody, sort_keys=False))
        runs = [measure(lab, joins) for _ in range(options.turns)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(runs, indent=2) + "\n")
    for what in runs[0]:
        figures = [run[what] for run in runs]
        print(f"{what:10s} minimum {min(figures):.2f} s, median {statistics.median(figures):.2f} s")


def without(inventory: dict[str, Any], name: str) -> dict[str, Any]:
    """Return hosts.yml without the line of a worker."""
    children = {
        group: {**data, "hosts": {host: said for host, said in data["hosts"].items() if host != name}}
        for group, data in inventory["all"]["children"].items()
    }
    return {"all": {**inventory["all"], "children": children}}


def measure(lab: Lab, name: str) -> dict[str, float]:
    """One worker joins: seconds, and what the machine's processors worked meanwhile, for the cluster, too."""
    kubeforge(lab, "node", "add", name, "--yes", "--tags", "prepare")
    time.sleep(SETTLES)
    begin, worked = time.monotonic(), processor_seconds()
    kubeforge(lab, "node", "add", name, "--yes")
    found = {"wall": time.monotonic() - begin, "processor": processor_seconds() - worked}
    kubeforge(lab, "node", "remove", name, "--yes")
    return found


if __name__ == "__main__":
    main()
