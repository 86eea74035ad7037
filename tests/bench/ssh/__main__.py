"""The 30-task job, second run, nothing to do: kubeforge, ansible-core, mitogen, pyinfra.

All "hosts" are addresses of one sshd on this machine, so walls of many hosts are mostly the targets' CPU; what
transfers to a real fleet is the client's and the targets' CPU per host, memory, and the wall of one far host. `floor`
is what connecting and running `true` costs by the same transport, at the same hour on the same machine.

    .venv/bin/python -m tests.bench.ssh --hosts 50 --turns 3 --json build/bench-ssh.json
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.ssh import contenders, job
from tests.bench.ssh.contenders import Call, Hosts
from tests.bench.ssh.delay import delayed
from tests.bench.ssh.farm import Farm, farm, need_root
from tests.bench.ssh.figures import machine, make_folders, medians, near, run

ROUND_TRIP = 0.05
SLOW = ("mitogen", "ansible")
Prepare = Callable[[Farm, Hosts], Call]


def main() -> None:
    """Measure and print; the figures go to a JSON file, too."""
    asked = arguments()
    need_root()
    chosen = {name: make for name, make in all_contenders(asked).items() if name in asked.only}
    with tempfile.TemporaryDirectory(prefix="kubeforge-bench-") as name:
        folder = Path(name)
        job.write_templates(folder / "templates")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with farm(folder, asked.hosts, port) as targets, delayed(("127.0.0.1", targets.port), port, ROUND_TRIP):
            rows = [measure_one(name, make, targets, asked, port) for name, make in chosen.items()]
    report = {"machine": machine(), "hosts": asked.hosts, "turns": asked.turns, "rows": rows}
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--turns", type=int, default=3, help="medians of so many runs")
    parser.add_argument("--slow-turns", type=int, default=1, help="the same for those that take minutes")
    parser.add_argument("--only", nargs="+", default=["floor", "kubeforge", "pyinfra", "mitogen", "ansible"])
    parser.add_argument("--python", help="for ansible-core, which needs 3.12 (uv's choice when not given)")
    parser.add_argument("--json", type=Path)
    cache = Path(os.environ.get("KUBEFORGE_CACHE", Path.home() / ".cache" / "kubeforge"))
    parser.add_argument("--virtualenvs", type=Path, default=cache / "bench" / "venvs")
    return parser.parse_args()


def all_contenders(asked: argparse.Namespace) -> dict[str, Prepare]:
    """Return how each is prepared; virtualenvs are made when first needed."""

    def virtual(name: str) -> Path:
        return contenders.virtualenv(asked.virtualenvs, name, asked.python)

    return {
        "floor": lambda farm, hosts: contenders.kubeforge(farm, hosts, program="floor_job"),
        "kubeforge": contenders.kubeforge,
        "pyinfra": lambda farm, hosts: contenders.pyinfra(farm, hosts, virtual("pyinfra")),
        "mitogen": lambda farm, hosts: contenders.ansible(farm, hosts, virtual("ansible"), mitogen=True),
        "ansible": lambda farm, hosts: contenders.ansible(farm, hosts, virtual("ansible"), mitogen=False),
    }


def measure_one(name: str, make: Prepare, targets: Farm, asked: argparse.Namespace, port: int) -> dict[str, Any]:
    """Run one contender: once to change things, then the measured runs; on all hosts, and on one far away."""
    far = Hosts(names=(f"{name}-far",), addresses=("127.0.0.1",), port=port)
    row: dict[str, Any] = {"name": name}
    for label, hosts in (("near", near(targets, name, asked.hosts)), ("far", far)):
        call = make(targets, hosts)
        row["version"] = call.version
        make_folders(targets, hosts)
        first = run(call, targets)
        if first.get("own_changed") == 0 and name == "kubeforge":
            raise SystemExit("the first run changed nothing: there is nothing to compare")
        turns = min(asked.turns, asked.slow_turns) if name in SLOW else asked.turns
        row[label] = medians([run(call, targets) for _ in range(turns)], len(hosts.names))
        print(name, label, row[label], file=sys.stderr, flush=True)
    return row


def table(report: dict[str, Any]) -> str:
    """Return the figures as the table of docs/performance.md."""
    hosts = report["hosts"]
    lines = [
        f"| engine, {hosts} hosts | client CPU, ms/host | target CPU, ms/host | memory, MiB | wall, s | far host, s |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        near, far = row["near"], row["far"]
        label = f"{row['name']} ({row['version']})"
        lines.append(
            f"| {label} | {near['client_ms_per_host']} | {near['target_ms_per_host']} | {near['memory_mib']} "
            f"| {near['wall_s']} | {far['wall_s']} |"
        )
        if "without_start_s" in near:
            lines.append(
                f"| the same without starting Python | {near['without_start_client_ms_per_host']} | | "
                f"{near['peak_rss_mib']} (peak RSS) | {near['without_start_s']} | {far['without_start_s']} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
