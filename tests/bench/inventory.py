"""Loading inventories of 1000 hosts: YAML, INI, with a template in every host, and with constructed groups.

.venv/bin/python -m tests.bench.inventory
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from kubeforge.inventory.loader import load

CONSTRUCTED = "plugin: constructed\nkeyed_groups: [{key: rack, prefix: rack}]\ngroups: {heavy: weight > 500}\n"


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("build/bench/inventory.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: [measure(sources) for _ in range(options.turns)]
            for name, sources in inventories(Path(folder), options.hosts).items()
        }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(runs, indent=2) + "\n")
    for name, seconds in runs.items():
        print(f"{name:12s} minimum {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s of processor time")


def measure(sources: list[Path]) -> float:
    """Return the processor seconds of one load."""
    began = time.process_time()
    load(sources)
    return time.process_time() - began


def inventories(folder: Path, hosts: int) -> dict[str, list[Path]]:
    """Write the inventories; return the sources of each."""
    rows = [(f"h{n}", f"10.1.{n // 250}.{n % 250}", f"r{n % 20}", n) for n in range(hosts)]
    flow = "".join(f"    {name}: {{ansible_host: {ip}, rack: {rack}, weight: {n}}}\n" for name, ip, rack, n in rows)
    plain = "web:\n  vars: {ansible_user: ops, ansible_become: true}\n  hosts:\n" + flow
    lines = "".join(f"{name} ansible_host={ip} rack={rack} weight={n}\n" for name, ip, rack, n in rows)
    texts = {
        "hosts.yml": plain,
        "hosts.ini": f"[web]\n{lines}[web:vars]\nansible_user=ops\nansible_become=true\n",
        "templates.yml": plain.replace("ansible_user: ops", "owner: ops, ansible_user: '{{ owner }}'"),
        "groups.yml": CONSTRUCTED,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    alone = {Path(name).name: [folder / name] for name in texts if name != "groups.yml"}
    return {**alone, "constructed": [folder / "hosts.yml", folder / "groups.yml"]}


if __name__ == "__main__":
    main()
