"""What threads share: the vault, the executor, events."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import pytest

from kubeforge.engine.events import Event, Events, Warned
from kubeforge.engine.executors import MAX_THREADS, ThreadExecutor
from kubeforge.engine.remotes import ConnectedRemotes
from kubeforge.engine.vault import OnceVault
from kubeforge.errors import OperationFailed
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.transport.connect import Connections
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.memory import MemoryHost


def test_the_vault_makes_once_on_all_threads() -> None:
    made: list[int] = []
    vault = OnceVault(lambda _: MemoryHost("x"))

    def make() -> object:
        made.append(1)
        time.sleep(0.01)
        return object()

    values = {id(value) for _, value in ThreadExecutor(8).each(lambda _: vault.once("key", make), range(8))}
    assert len(made) == len(values) == 1
    assert vault.once("other", lambda: 3) == 3


def test_the_vault_reads_a_file_once() -> None:
    host = MemoryHost("cp1", files={"/key": b"secret"})
    vault = OnceVault({"cp1": host}.__getitem__)
    assert vault.fetch("cp1", "/key").reveal() == b"secret"
    assert vault.fetch("cp1", "/key").reveal() == b"secret"
    assert host.round_trips == 1
    assert "secret" not in repr(vault.fetch("cp1", "/key"))


def test_a_failure_is_the_same_for_everybody() -> None:
    host = MemoryHost("cp1")
    vault = OnceVault({"cp1": host}.__getitem__)
    for _ in range(2):
        with pytest.raises(OperationFailed):
            vault.fetch("cp1", "/key")
    assert host.round_trips == 1


def test_the_vault_may_make_one_thing_of_another() -> None:
    vault = OnceVault(lambda _: MemoryHost("x"))
    assert vault.once("b", lambda: vault.once("a", lambda: 1) + 1) == 2


def test_the_executor_bounds_its_threads() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def work(_: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1

    assert len(list(ThreadExecutor(500).each(work, range(200)))) == 200
    assert 1 < most[0] <= MAX_THREADS


def test_the_executor_begins_nothing_after_stop() -> None:
    done: list[int] = []

    def work(job: int) -> int:
        done.append(job)
        return job

    assert [job for job, _ in ThreadExecutor(1).each(work, range(10), stop=lambda: len(done) >= 3)] == [0, 1, 2]


def test_what_work_raises_is_raised() -> None:
    def work(job: int) -> Any:
        raise ZeroDivisionError(job)

    with pytest.raises(ZeroDivisionError):
        list(ThreadExecutor(2).each(work, range(3)))


def test_no_jobs() -> None:
    assert list(ThreadExecutor(2).each(str, [])) == []


def test_events_come_one_at_a_time_to_every_sink() -> None:
    inside, seen = [0], []

    def sink(event: Event) -> None:
        inside[0] += 1
        assert inside[0] == 1
        time.sleep(0.0005)
        inside[0] -= 1
        seen.append(event)

    events = Events([sink])
    list(ThreadExecutor(8).each(lambda n: events.emit(Warned(host=None, message=str(n))), range(40)))
    assert len(seen) == 40
    events.remove(sink)
    events.emit(Warned(host=None, message="unheard"))
    assert len(seen) == 40


class Wire(LocalTransport):
    """A connection that can break."""

    alive = True

    def __init__(self, opened: list[Wire]) -> None:
        super().__init__("here")
        opened.append(self)
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_a_connection_that_has_died_is_opened_anew() -> None:
    """Also one that only a stream ever used: the run's lock."""
    opened: list[Wire] = []
    inventory = Inventory(hosts={"h": Host(name="h", connection=Connection(address="h"))}, groups={})
    with closing(ConnectedRemotes(inventory, Connections(lambda _: Wire(opened)))) as remotes:
        remotes.open_stream("h", "true").close()
        opened[0].alive = False
        remotes.open_stream("h", "true").close()
        assert [wire.closed for wire in opened] == [True, False]
        remote = remotes.remote("h")
        assert remotes.remote("h") is remote
        assert len(opened) == 2
        opened[1].alive = False
        assert remotes.remote("h") is not remote
        assert [wire.closed for wire in opened] == [True, True, False]


def test_a_connection_that_was_let_go_is_opened_anew() -> None:
    opened: list[Wire] = []
    inventory = Inventory(hosts={"h": Host(name="h", connection=Connection(address="h"))}, groups={})
    with closing(ConnectedRemotes(inventory, Connections(lambda _: Wire(opened)))) as remotes:
        remote = remotes.remote("h")
        remotes.release("h")
        assert [wire.closed for wire in opened] == [True]
        assert remotes.remote("h") is not remote
        assert [wire.closed for wire in opened] == [True, False]
