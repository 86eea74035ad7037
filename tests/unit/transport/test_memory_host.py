"""The public in-memory host behaves as a real one where tests rely on it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kubeforge.engine.generations import LEDGER_QUERIES, read_ledger, reset
from kubeforge.errors import ChangedUnderneath, ConnectionFailed, ConnectionLost, HostBusy, OperationFailed
from kubeforge.operations import Absent, Command, Directory, File, Sysctl, Unit
from kubeforge.operations.model import (
    Change,
    LocalContent,
    Observation,
    Operation,
    Queries,
    Result,
    UnitState,
    fold,
)
from kubeforge.secret import Secret
from kubeforge.transport.base import Completed, Remote
from kubeforge.transport.memory import RUNNING, MemoryHost
from kubeforge.transport.protocol.note import interrupted_in

OPERATIONS: list[Operation] = [
    Directory(path="/etc/app"),
    File(path="/etc/app/conf", content=b"1\n", mode=0o600),
    File(path="/etc/app/key", content=Secret("k"), mode=0o600),
    Sysctl(name="net.ipv4.ip_forward", value="1"),
    Unit(name="app.service", listens=("file /etc/app/conf",)),
    Command(argv=("make", "it"), unless=("is", "made")),
    Absent(path="/etc/old"),
]


def plan(host: Remote, operations: list[Operation]) -> tuple[list[Change], Observation]:
    seen = host.observe(Queries.merge(operation.observe() for operation in operations))
    return fold(operations, seen)[0], seen


def apply(host: Remote, operations: list[Operation]) -> list[Result]:
    changes, seen = plan(host, operations)
    return host.act(changes, seen, run_id="r1")


def host() -> MemoryHost:
    return MemoryHost("m", files={"/etc/old": b"x"}, sysctls={"net.ipv4.ip_forward": "0"})


def test_applied_twice() -> None:
    memory = host()
    assert [result.title for result in apply(memory, OPERATIONS)] == [operation.title for operation in OPERATIONS]
    assert apply(memory, OPERATIONS) == []
    assert memory.file("/etc/app/conf") == b"1\n"
    assert memory.read("/etc/app/key") == b"k"
    assert memory.state.units["app.service"].active == "active"
    with pytest.raises(KeyError):
        memory.file("/etc/old")
    assert [change.title for change in memory.changes] == [operation.title for operation in OPERATIONS]
    memory.put("/etc/app/conf", b"by hand")
    assert [change.title for change in plan(memory, OPERATIONS)[0]] == ["file /etc/app/conf", "unit app.service"]
    assert memory.round_trips == 5  # an act of nothing is none


def test_changed_underneath() -> None:
    memory = host()
    changes, seen = plan(memory, OPERATIONS)
    memory.put("/etc/old", b"y")
    memory.overlay(Observation(sysctls={"net.ipv4.ip_forward": "2"}, units={"app.service": RUNNING}))
    memory.put("/etc/app/conf", b"0")
    with pytest.raises(ChangedUnderneath) as raised:
        memory.act(changes, seen, run_id="r1")
    for name in ("/etc/app", "/etc/app/conf (content)", "sysctl net.ipv4.ip_forward", "unit app.service"):
        assert name in raised.value.cause
    assert memory.changes == []


def test_a_unit_that_comes_up_meanwhile_is_no_change() -> None:
    memory = MemoryHost("m", units={"a.service": UnitState("loaded", "activating", "disabled")})
    operations: list[Operation] = [Unit(name="a.service")]
    changes, seen = plan(memory, operations)
    memory.overlay(Observation(units={"a.service": UnitState("loaded", "active", "disabled")}))
    assert len(memory.act(changes, seen, run_id="r")) == 1


def test_a_change_fails() -> None:
    memory = host()
    memory.fail["file /etc/app/key"] = 9
    assert [result.status for result in apply(memory, OPERATIONS)] == [0, 0, 9]
    found = interrupted_in(memory.observe(Queries(reads=("/var/lib/kubeforge/run",))))
    assert found is not None
    assert found.failed == "file /etc/app/key"
    assert len(found.pending) == 4
    memory.fail.clear()
    assert len(apply(memory, OPERATIONS)) == 5


def test_the_connection_is_lost_and_the_host_goes_on() -> None:
    memory = host()
    memory.lose_at = 2
    with pytest.raises(ConnectionLost):
        apply(memory, OPERATIONS)
    assert apply(memory, OPERATIONS) == []


def test_the_host_dies() -> None:
    memory = host()
    memory.reboot_at = 2
    with pytest.raises(ConnectionLost):
        apply(memory, OPERATIONS)
    found = interrupted_in(memory.observe(Queries(reads=("/var/lib/kubeforge/run",))))
    assert found is not None
    assert (found.done, found.doubtful) == (("directory /etc/app", "file /etc/app/conf"), "file /etc/app/key")
    assert len(apply(memory, OPERATIONS)) == 5


def test_busy_and_unreachable() -> None:
    memory = host()
    memory.busy = True
    with pytest.raises(HostBusy):
        apply(memory, OPERATIONS)
    memory.unreachable = True
    for call in (lambda: memory.observe(Queries(stats=("/x",))), lambda: memory.read("/x"), lambda: memory.run(("x",))):
        with pytest.raises(ConnectionFailed):
            call()


def test_commands() -> None:
    memory = MemoryHost(
        "m", commands={("echo", "x"): Completed(0, b"x\n"), ("cat",): lambda stdin: Completed(0, stdin[::-1])}
    )
    assert memory.run(("echo", "x")).stdout == b"x\n"
    assert memory.run(("cat",), stdin=Secret("ab")).stdout == b"ba"
    with pytest.raises(OperationFailed, match="status 127"):
        memory.run(("nothing",))
    assert memory.run(("nothing",), expect=(127,)).status == 127
    assert memory.ran == [("echo", "x"), ("cat",), ("nothing",), ("nothing",)]
    seen = memory.observe(Queries(tests=(("echo", "x"), ("nothing",))))
    assert seen.tests == {("echo", "x"): 0, ("nothing",): 127}
    with pytest.raises(ConnectionFailed, match="nothing listens"):
        memory.open_tunnel("localhost", 1)


def test_big_files_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"big")
    content = LocalContent(path=tmp_path / "big", sha256=hashlib.sha256(b"big").hexdigest(), size=3)
    memory = MemoryHost("m")
    operations: list[Operation] = [File(path="/opt/big", content=content)]
    assert len(apply(memory, operations)) == 1
    assert apply(memory, operations) == []
    assert memory.file("/opt/big") == b"big"


def test_written_outside_of_any_plan() -> None:
    memory = MemoryHost("m")
    memory.write("/root/.kube/config", Secret("c"))
    assert memory.read("/root/.kube/config") == b"c"
    with pytest.raises(OperationFailed, match="No such file"):
        memory.read("/root/none")
    memory.close()


def test_a_reset_finds_what_was_there() -> None:
    memory = host()
    memory.put("/etc/app/conf", b"theirs", mode=0o640)
    before = memory.observe(Queries(stats=("/etc/app", "/etc/app/conf", "/etc/app/key", "/etc/old")))
    apply(memory, OPERATIONS)
    changes, seen = plan(memory, [File(path="/etc/app/conf", content=b"2\n")])
    memory.act(changes, seen, run_id="r2")
    kept = read_ledger(memory.observe(LEDGER_QUERIES))
    assert [(generation.number, generation.run_id) for generation in kept.generations] == [(1, "r1"), (2, "r2")]
    apply(memory, reset(kept))
    assert memory.observe(Queries(stats=tuple(before.paths))).paths == before.paths
    assert memory.file("/etc/app/conf") == b"theirs"
    assert memory.file("/etc/old") == b"x"
