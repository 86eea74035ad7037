"""All benchmarks, one after the other, with the options docs/performance.md names."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (["tests.bench.birth", "--turns", "3"], ["tests.bench.ssh", "--hosts", "50", "--turns", "3"])


def main() -> None:
    """Run each in a process of its own; stop at the first that fails."""
    for bench in BENCHES:
        print("──", " ".join(bench), flush=True)
        subprocess.run([sys.executable, "-m", *bench], check=True)


if __name__ == "__main__":
    main()
