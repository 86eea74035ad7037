"""An apply with nothing to do, on a living cluster of the lab: the whole command, Python's start included.

.venv/bin/python -m tests.bench.noop --control-planes 1 --workers 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from kubeforge.lab import Lab
from tests.bench.birth import LAB, kubeforge, processor_seconds

SETTLES = 30.0
"""Seconds in which controllers and probes of a cluster just born come to rest: nobody says when they have."""


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control-planes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("build/bench/noop.json"))
    options = parser.parse_args()
    with Lab.up(LAB, control_planes=options.control_planes, workers=options.workers) as lab:
        kubeforge(lab, "apply", "--yes")
        time.sleep(SETTLES)
        kubeforge(lab, "plan", "--detailed-exitcode")  # fails where there is something to do
        runs = [measure(lab) for _ in range(options.turns)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(runs, indent=2) + "\n")
    for what in runs[0]:
        figures = [run[what] for run in runs]
        print(f"{what:10s} minimum {min(figures):.2f} s, median {statistics.median(figures):.2f} s")


def measure(lab: Lab) -> dict[str, float]:
    """One apply: seconds, and what the machine's processors worked meanwhile, the cluster's own work included."""
    begin, worked = time.monotonic(), processor_seconds()
    kubeforge(lab, "apply", "--yes")
    return {"wall": time.monotonic() - begin, "processor": processor_seconds() - worked}


if __name__ == "__main__":
    main()
