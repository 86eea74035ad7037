"""What the tests run, also as a program of its own that can be killed: `python program.py INVENTORY PLAYBOOK [resume]`.

It prints one event per line, and leaves with the run's exit code.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeforge.engine.events import Event, Sink
from kubeforge.engine.generations import LEDGER_QUERIES, read_ledger, reset
from kubeforge.engine.journal import filed_under, runs_folder
from kubeforge.engine.model import Action, ActionContext, Context, Task
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.resume import GoingOn, chosen
from kubeforge.engine.run import Session
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.operations.artifact import Artifact
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, LocalContent, Verb
from kubeforge.operations.unit import Unit

UNIT = "/etc/systemd/system/kfit.service"
FOLDER = "/etc/kfit"
ONCE = "/var/lib/kubeforge/kfit-once"


def files(context: Context, count: int = 20, text: str = "hello") -> Iterator[Any]:
    """A directory with files that say where they are."""
    yield Directory(path=FOLDER)
    for number in range(count):
        yield File(path=f"{FOLDER}/{number}", content=f"{text} {number} on {context.mine.hostname}\n".encode())


def service(context: Context) -> Iterator[Any]:
    """A unit that listens to one of the files."""
    content = f"[Service]\nExecStart=/bin/sleep {context.mine.cpus * 10000}\n[Install]\nWantedBy=multi-user.target\n"
    yield File(path=UNIT, content=content.encode())
    yield Unit(name="kfit.service", listens=(f"file {UNIT}", f"file {FOLDER}/0"))


def slow(context: Context, seconds: int = 2, name: str = "kfit") -> Iterator[Any]:
    """Three commands that take their time."""
    for number in range(3):
        path = f"/run/{name}-{number}"
        yield Command(argv=("sh", "-c", f"sleep {seconds}; touch {path}"), creates=path)


def once(context: Context, numbers: Sequence[int]) -> Iterator[Any]:
    """Commands without a guard, each of which leaves a line, and files between them."""
    for number in numbers:
        yield Command(argv=("sh", "-c", f"sleep 0.05; echo {context.host.name} >>{ONCE}-{number}"))
        yield File(path=f"{FOLDER}-once-{number}", content=b"x")


@dataclass(frozen=True)
class Asleep(Action):
    """Waits until it is told to stop."""

    seconds: float

    @property
    def title(self) -> str:
        return "asleep"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        return [Change(title=self.title, verb=Verb.RUN, why="asked for")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            run.say("still asleep")
            run.checkpoint()
            run.remote.run(("sleep", "0.1"))
        return self.plan(run)


def asleep(context: Context, seconds: float = 30) -> Iterator[Any]:
    """An action that waits."""
    yield Asleep(seconds)


def program(context: Context, file: str, path: str = "/usr/local/bin/kfit") -> Iterator[Any]:
    """A program from a file of the controller."""
    content = Path(file).read_bytes()
    local = LocalContent(path=Path(file), sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    yield Artifact(path=path, content=local)


def taken_back(context: Context) -> Iterator[Any]:
    """Everything as it was before the first run."""
    yield from reset(read_ledger(context.seen[context.host.name]))


TASKS = {
    "kfit.program": Task(name="kfit.program", function=program),
    "kfit.taken_back": Task(name="kfit.taken_back", function=taken_back, reads=lambda *_: LEDGER_QUERIES),
    "kfit.files": Task(name="kfit.files", function=files),
    "kfit.service": Task(name="kfit.service", function=service),
    "kfit.slow": Task(name="kfit.slow", function=slow),
    "kfit.once": Task(name="kfit.once", function=once),
    "kfit.asleep": Task(name="kfit.asleep", function=asleep),
}


def session(inventory: Inventory, text: str, sinks: Sequence[Sink] = (), **more: Any) -> Session:
    return Session(inventory=inventory, playbook=parse(text, TASKS), registry=TASKS, sinks=sinks, **more)


def main() -> int:
    def show(event: Event) -> None:
        print(type(event).__name__, getattr(event, "host", ""), flush=True)

    try:
        inventory = load(Path(sys.argv[1]))
        resume = None
        if sys.argv[3:] == ["resume"]:
            resume = GoingOn(chosen(runs_folder(filed_under(inventory)), "last", "playbook"))
        with session(inventory, sys.argv[2], [show], resume=resume) as opened:
            return opened.apply(opened.plan()).exit_code
    except KubeforgeError as error:
        print(error, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
