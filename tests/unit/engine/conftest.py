"""Hosts in memory for the engine's tests: what is true there is an Observation, acting puts effects over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kubeforge.engine.events import Event
from kubeforge.engine.memory import ordinary_facts
from kubeforge.engine.model import Action, ActionContext, Context, Facts, Task
from kubeforge.engine.playbook import Playbook
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.run import Session
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Observation, Queries, Result, Verb
from kubeforge.transport.base import ByteSocket, Remote
from kubeforge.transport.memory import MemoryHost

FACTS = ordinary_facts("h")


class WatchedHost(MemoryHost):
    """A host in memory that notes its calls, lets a test step in before it acts, and whose failing changes speak."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[str] = []
        self.before_act: Callable[[], None] = lambda: None
        self.say: dict[str, bytes] = {}

    def observe(self, queries: Queries) -> Observation:
        self.calls.append("observe")
        return super().observe(queries)

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        self.calls.append("act")
        self.before_act()
        self.fail |= dict.fromkeys(self.say, 1)
        results = super().act(changes, seen, run_id=run_id)
        return [replace(result, output=self.say.get(result.title, result.output)) for result in results]

    @property
    def acted(self) -> list[str]:
        return [change.title for change in self.changes]


@dataclass
class Wait(Action):
    """An action that notes when it runs; changes `effect` unless it holds already."""

    name: str
    journal: list[str]
    needed: Callable[[ActionContext], bool] = lambda run: run.pending
    body: Callable[[ActionContext], None] = lambda _: None

    @property
    def title(self) -> str:
        return self.name

    def change(self) -> Change:
        return Change(title=self.name, verb=Verb.RUN, why="something is pending")

    def plan(self, run: ActionContext) -> Sequence[Change]:
        return [self.change()] if self.needed(run) else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        run.say("waiting")
        self.body(run)
        self.journal.append(f"{run.remote.host} {self.name}")
        return [self.change()]


@dataclass
class World:
    """An inventory of fake hosts, tasks by name, and what was emitted."""

    inventory: Inventory
    hosts: dict[str, WatchedHost]
    tasks: dict[str, Task] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    closed: bool = False
    released: list[str] = field(default_factory=list)
    streams: dict[str, Callable[[], ByteSocket]] = field(default_factory=dict)

    def remote(self, host: str) -> Remote:
        return self.hosts[host]

    def open_stream(self, host: str, command: str) -> ByteSocket:
        return self.streams[host]()

    def release(self, host: str) -> None:
        self.released.append(host)

    def close(self) -> None:
        self.closed = True

    def task(self, name: str, function: Callable[..., Any], **more: Any) -> None:
        self.tasks[name] = Task(name=name, function=function, **more)

    def reader(self, remote: Remote, reads: Queries, waits: Callable[[str], None]) -> tuple[Facts, Observation]:
        seen = remote.observe(reads or Queries(stats=("/",)))
        return replace(FACTS, hostname=remote.host), seen

    def book(self, text: str) -> Playbook:
        return parse(text, self.tasks)

    def session(self, text: str, **more: Any) -> Session:
        return Session(
            inventory=self.inventory,
            playbook=more.pop("playbook", None) or self.book(text),
            registry=self.tasks,
            sinks=[self.events.append],
            reader=self.reader,
            **{"remotes": self, "exclusive": False, "record": False, **more},
        )

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def inventory_of(*names: str) -> Inventory:
    hosts = {name: Host(name=name, connection=Connection(address=f"192.0.2.{n % 250}")) for n, name in enumerate(names)}
    control = tuple(name for name in names if name.startswith("cp"))
    groups = {"all": names, "kube_control_plane": control, "kube_node": tuple(n for n in names if n not in control)}
    return Inventory(hosts=hosts, groups=groups)


def write_files(context: Context, paths: Sequence[str] = ("/etc/a", "/etc/b"), content: str = "x") -> Any:
    """Write the same text to some files."""
    for path in paths:
        yield File(path=path, content=content.encode())


def make_directory(context: Context, path: str) -> Any:
    """Make a directory."""
    yield Directory(path=path)


@pytest.fixture
def world() -> World:
    return make_world("cp1", "w1", "w2")


@pytest.fixture
def make() -> Callable[..., World]:
    return make_world


@pytest.fixture
def wait() -> type[Wait]:
    return Wait


def make_world(*names: str) -> World:
    made = World(inventory=inventory_of(*names), hosts={name: WatchedHost(name) for name in names})
    made.task("files.write", write_files)
    made.task("directory.make", make_directory)
    return made
