"""Time per node of an upgrade without drain, in the lab: from a run's first step on a host to its last, parts there.

.venv/bin/python -m tests.bench.upgrade --control-planes 3 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from kubeforge.lab import Lab
from tests.bench.birth import LAB, kubeforge

OLD, NEW = "1.35.4", "1.36.3"
PLAYS = ("Upgrade the control planes, one by one", "Upgrade the workers, few at a time")


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control-planes", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/bench/upgrade.json"))
    options = parser.parse_args()
    state = options.output.parent.absolute() / "upgrade-state"
    os.environ["KUBEFORGE_STATE"] = str(state)
    with Lab.up(LAB, control_planes=options.control_planes, workers=options.workers, kubernetes=OLD) as lab:
        kubeforge(lab, "apply", "--yes")
        upgrade(lab, "--tags", "prepare")
        begin = time.monotonic()
        upgrade(lab, "--no-drain")
        seconds = {"whole": time.monotonic() - begin, **per_host(state)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(seconds, indent=2) + "\n")
    for name, value in seconds.items():
        print(f"{name:8s} {value:6.1f} s")
    nodes = [value for name, value in seconds.items() if name != "whole"]
    print(f"{'a node':8s} {statistics.median(nodes):6.1f} s median, {max(nodes):.1f} s at most")


def upgrade(lab: Lab, *words: str) -> None:
    """Run the verb as a user would."""
    program = str(Path(sys.executable).with_name("kubeforge"))
    subprocess.run([program, "upgrade", "apply", NEW, "--yes", "-i", str(lab.inventory), *words], check=True)


def per_host(state: Path) -> dict[str, float]:
    """Return how long each host had its turn in the last run, by its events."""
    run = max(state.glob("runs/*/*"))
    turns: dict[str, list[float]] = defaultdict(list)
    for line in (run / "events.jsonl").read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "HostDone" and event["play"] in PLAYS:
            turns[event["host"]].append(event["seconds"])
    return {host: sum(found) for host, found in turns.items()}


if __name__ == "__main__":
    main()
