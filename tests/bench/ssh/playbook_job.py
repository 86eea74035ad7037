"""The job as a playbook of generic tasks, applied once: each host's state is kept in a folder of its own.

python -m tests.bench.ssh.playbook_job hosts.yml thirty.yml FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kubeforge import tasks
from kubeforge.engine.run import Session
from kubeforge.inventory.loader import load
from tests.bench.ssh.kubeforge_job import Remotes


def main() -> None:
    """Plan and apply; print how many changes were made."""
    inventory = load(Path(sys.argv[1]))
    with Session(
        inventory=inventory,
        playbook=Path(sys.argv[2]),
        registry=tasks.load(),
        remotes=Remotes(inventory, sys.argv[3]),
        exclusive=False,
        record=False,
    ) as session:
        result = session.apply(session.plan())
    if result.failures:
        raise SystemExit("\n".join(map(str, result.failures[:3])))
    print(json.dumps({"changed": len(result.done)}))


if __name__ == "__main__":
    main()
