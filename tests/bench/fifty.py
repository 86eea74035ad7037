"""The same 30-task playbook on kubeforge's command line, pyinfra, mitogen and ansible-core: 50 hosts, in one run.

Nothing is to be done. All hosts are addresses of one sshd on this machine (see tests.bench.ssh), so walls are mostly
the targets' CPU. Ratios are made of one turn's figures, as a machine's speed drifts; kubeforge, which is there for a
second only, runs before each of the others, and the median counts. Those that take minutes run in the first turns only.

.venv/bin/python -m tests.bench.fifty --turns 3 --slow-turns 1
Needs root, sshd and uv; makes virtualenvs of the newest pyinfra, ansible-core and mitogen the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.bench.ssh import contenders, job
from tests.bench.ssh.contenders import Call, Hosts
from tests.bench.ssh.farm import Farm, farm, need_root
from tests.bench.ssh.figures import machine, make_folders, medians, near, run

WANTED: Final = {"pyinfra": 6, "mitogen": 0, "ansible": 150}
"""How many times kubeforge's client CPU each shall take at least (issue 6); 0: nothing is said."""
SLOW: Final = frozenset({"mitogen", "ansible"})
OURS: Final = "kubeforge"
Prepare = Callable[[Farm, Hosts], Call]


def main() -> None:
    """Measure, print a table and write the figures."""
    asked = arguments()
    need_root()
    with tempfile.TemporaryDirectory(prefix="kubeforge-bench-") as name:
        folder = Path(name)
        job.write_templates(folder / "templates")
        with farm(folder, asked.hosts, 0) as targets:
            wanted = {OURS, *asked.only}
            rows = measured(targets, asked, {name: make for name, make in prepares(asked).items() if name in wanted})
    report = {"machine": machine(), "hosts": asked.hosts, "rows": rows}
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(report, indent=2) + "\n")
    print(table(rows, asked.hosts))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--slow-turns", type=int, default=1, help="of mitogen and ansible-core")
    parser.add_argument("--only", nargs="+", default=list(WANTED), choices=[OURS, *WANTED], help="kubeforge, and these")
    parser.add_argument("--python", help="for ansible-core, which needs 3.12 (uv's choice when not given)")
    cache = Path(os.environ.get("KUBEFORGE_CACHE", Path.home() / ".cache" / "kubeforge"))
    parser.add_argument("--virtualenvs", type=Path, default=cache / "bench" / "venvs")
    parser.add_argument("--output", type=Path, default=Path("build/bench/fifty.json"))
    return parser.parse_args()


def prepares(asked: argparse.Namespace) -> Mapping[str, Prepare]:
    """Return how each is prepared, quick ones first."""

    def virtual(name: str) -> Path:
        return contenders.virtualenv(asked.virtualenvs, name, asked.python)

    def ansible(farm: Farm, hosts: Hosts, *, mitogen: bool) -> Call:
        return contenders.ansible(farm, hosts, virtual("ansible"), mitogen=mitogen)

    return {
        OURS: contenders.playbook,
        "pyinfra": lambda farm, hosts: contenders.pyinfra(farm, hosts, virtual("pyinfra")),
        "mitogen": partial(ansible, mitogen=True),
        "ansible": partial(ansible, mitogen=False),
    }


def measured(targets: Farm, asked: argparse.Namespace, makes: Mapping[str, Prepare]) -> list[dict[str, Any]]:
    """Let each change what is due, then take turns; return a row for each."""
    calls: dict[str, Call] = {}
    for name, make in makes.items():
        hosts = near(targets, name, asked.hosts)
        make_folders(targets, hosts)
        calls[name] = make(targets, hosts)
        run(contenders.first_playbook(targets, hosts) if name == OURS else calls[name], targets)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in calls}
    for turn in range(asked.turns):
        mine = []
        for name, call in calls.items():
            if name not in SLOW or turn < asked.slow_turns:
                mine.append(run(calls[OURS], targets))
                if name != OURS:
                    runs[name].append(run(call, targets))
                print(turn, OURS, mine[-1], name, *runs[name][-1:], file=sys.stderr, flush=True)
        runs[OURS].append({key: statistics.median(one[key] for one in mine) for key in mine[0]})
    return [
        {
            "name": name,
            "version": calls[name].version,
            **medians(mine, asked.hosts),
            "client_ratio": ratio(mine, runs.get(OURS, []), "client_cpu"),
            "target_ratio": ratio(mine, runs.get(OURS, []), "target_cpu"),
        }
        for name, mine in runs.items()
    ]


def ratio(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """Return the median over the turns of what theirs took for each one of ours."""
    both = zip(theirs, ours, strict=False)
    found = [their[what] / our[what] for their, our in both]
    return round(statistics.median(found), 1) if found else None


def table(rows: Sequence[Mapping[str, Any]], hosts: int) -> str:
    """Return the figures as the table of docs/performance.md."""
    lines = [
        f"| {hosts} hosts | client ms per host | times ours | target ms per host | times ours | memory, MiB | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        wanted = WANTED.get(row["name"], 0)
        times = f"{row['client_ratio']}{f' (wanted: {wanted})' if wanted else ''}"
        lines.append(
            f"| {row['name']} ({row['version']}) | {row['client_ms_per_host']} | {times} | {row['target_ms_per_host']} "
            f"| {row['target_ratio']} | {row['memory_mib']} | {row['wall_s']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
