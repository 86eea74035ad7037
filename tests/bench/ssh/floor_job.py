"""Connect to every host and run `true`: what no engine over this transport can undercut. Prints one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STARTED = time.perf_counter()

from kubeforge.inventory.loader import load  # noqa: E402 - the clock runs from before imports
from kubeforge.transport.connect import Connections  # noqa: E402


def main() -> None:
    inventory = load(Path(sys.argv[1]))
    imported = time.perf_counter()
    imports = resource.getrusage(resource.RUSAGE_SELF)
    with Connections() as connections, ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda host: connections.get(host).run("true", deadline=30), inventory.hosts.values()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "changed": sum(done.status for done in statuses),
                "import_seconds": imported - STARTED,
                "run_seconds": time.perf_counter() - imported,
                "run_cpu": used.ru_utime + used.ru_stime - imports.ru_utime - imports.ru_stime,
                "memory": used.ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
