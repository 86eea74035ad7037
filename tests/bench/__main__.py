"""All benchmarks, one after the other, with the options docs/performance.md names."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    ["tests.bench.birth", "--turns", "3"],
    ["tests.bench.birth", "--turns", "3", "--control-planes", "3", "--output", "build/bench/birth-ha.json"],
    ["tests.bench.inventory"],
    ["tests.bench.noop"],
    ["tests.bench.noop", "--control-planes", "3", "--output", "build/bench/noop-ha.json"],
    ["tests.bench.node_add"],
    ["tests.bench.ssh", "--hosts", "50", "--turns", "3", "--json", "build/bench/ssh.json"],
    ["tests.bench.fifty"],
    ["tests.bench.five_hundred"],
    ["tests.bench.executors"],
)


def main() -> None:
    """Run each in a process of its own; stop at the first that fails."""
    for bench in BENCHES:
        print("──", " ".join(bench), flush=True)
        subprocess.run([sys.executable, "-m", *bench], check=True)


if __name__ == "__main__":
    main()
