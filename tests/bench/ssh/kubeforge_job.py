"""The job by kubeforge, as a program: inventory, playbook, plan, apply. Prints one line of JSON.

python -m tests.bench.ssh.kubeforge_job hosts.yml FOLDER [GREETING]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

STARTED = time.perf_counter()

from kubeforge.collector import collect_rarely  # noqa: E402 - first, as in kubeforge's own command

collect_rarely()

from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: E402 - the clock runs from before imports

from kubeforge.engine.model import Context, Task  # noqa: E402
from kubeforge.engine.playbook_loader import parse  # noqa: E402
from kubeforge.engine.run import Session  # noqa: E402
from kubeforge.inventory.loader import load  # noqa: E402
from kubeforge.inventory.model import Inventory  # noqa: E402
from kubeforge.operations import Command, Directory, File, Package  # noqa: E402
from kubeforge.operations.model import Change, Observation, Operation, Queries  # noqa: E402
from kubeforge.transport.base import ByteSocket, Remote  # noqa: E402
from kubeforge.transport.connect import Connections  # noqa: E402
from kubeforge.transport.remote import ShellRemote  # noqa: E402
from tests.bench.ssh import job  # noqa: E402


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Operation):
    """One line of a file: what a user's own kind of operation looks like."""

    kind: ClassVar[str] = "line"

    path: str
    key: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.path} {self.key}"

    def observe(self) -> Queries:
        return Queries(stats=(self.path,), hashes=(self.path,), reads=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        lines = seen.contents.get(self.path, b"").decode().splitlines()
        if self.text in lines:
            return None
        kept = [line for line in lines if not line.startswith(f"{self.key} ")]
        content = "".join(f"{line}\n" for line in (*kept, self.text)).encode()
        change = File(path=self.path, content=content, mode=0o644).decide(seen)
        return change and replace(change, title=self.title)


class Remotes:
    """Hosts that share one machine's root: each keeps its state in a folder of its own."""

    def __init__(self, inventory: Inventory, folder: str) -> None:
        self._inventory = inventory
        self._folder = folder
        self._connections = Connections()

    def remote(self, host: str) -> Remote:
        return ShellRemote(self._connections.get(self._inventory.hosts[host]), state=f"{self._folder}/{host}.state")

    def open_stream(self, host: str, command: str) -> ByteSocket:
        return self._connections.get(self._inventory.hosts[host]).open_stream(command)

    def release(self, host: str) -> None:
        self._connections.drop(host)

    def close(self) -> None:
        self._connections.close()


def main() -> None:
    inventory = load(Path(sys.argv[1]))
    folder, greeting = sys.argv[2], (sys.argv[3:] or ["alpha"])[0]
    environment = Environment(
        loader=FileSystemLoader(f"{folder}/templates"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    templates = [environment.get_template(f"t{number}.j2") for number in range(job.FILES)]

    def tasks(context: Context) -> Iterator[Operation]:
        """The thirty tasks."""
        name = context.host.name
        root = f"{folder}/hosts/{name}"
        for number in range(job.DIRECTORIES):
            yield Directory(path=f"{root}/d{number}", mode=0o750)
        for number, template in enumerate(templates):
            content = template.render(node=name, basevar=greeting).encode()
            yield File(path=f"{root}/d{job.directory(number)}/f{number}.conf", content=content, mode=0o640)
        for number in range(job.LINES):
            yield Line(path=f"{root}/d0/sysctl.conf", key=f"net.x.k{number}", text=f"net.x.k{number} = 1")
        for argv in job.COMMANDS:
            yield Command(argv=("false",), unless=argv, name=" ".join(argv))
        for package in job.PACKAGES:
            yield Package(name=package)

    registry = {"bench.job": Task(name="bench.job", function=tasks)}
    playbook = parse("- {play: Thirty tasks, hosts: all, tasks: [bench.job], facts: false}", registry)
    imported = time.perf_counter()
    imports = resource.getrusage(resource.RUSAGE_SELF)
    with Session(
        inventory=inventory,
        playbook=playbook,
        registry=registry,
        remotes=Remotes(inventory, folder),
        exclusive=False,
        record=False,
    ) as session:
        plan = session.plan()
        result = session.apply(plan)
    if result.failures:
        raise SystemExit("\n".join(map(str, result.failures[:3])))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "changed": len(result.done),
                "import_seconds": imported - STARTED,
                "run_seconds": time.perf_counter() - imported,
                "run_cpu": used.ru_utime + used.ru_stime - imports.ru_utime - imports.ru_stime,
                "memory": used.ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
