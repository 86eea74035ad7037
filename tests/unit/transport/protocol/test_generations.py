"""What act keeps is enough to take everything back, byte for byte; real shells, real files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeforge.engine.generations import Ledger, collect, managed_paths, read_ledger, reset, rollback
from kubeforge.errors import OperationFailed, Unreadable
from kubeforge.operations import Absent, Command, Directory, File, Symlink
from kubeforge.operations.model import Change, Observation, Operation, Queries, UnitState, Verb
from kubeforge.secret import Secret
from kubeforge.transport.protocol.record import record

from .conftest import Host

BINARY = bytes(range(256)) * 40


def ledger(host: Host) -> Ledger:
    folder = f"{host.state}/generations"
    return read_ledger(host.remote.observe(Queries(reads=(f"{folder}/ledger",))), folder)


def snapshot(host: Host) -> dict[str, tuple[object, ...]]:
    """Everything but our own folder: kind, permissions, owner, content or target; files also with their time."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(host.place.rglob("*")):
        if path == host.state or host.state in path.parents:
            continue
        info = path.lstat()
        what: object = None
        if stat.S_ISLNK(info.st_mode):
            what = os.readlink(path)  # noqa: PTH115 - the target may be no path
        elif stat.S_ISREG(info.st_mode):
            what = (path.read_bytes(), info.st_mtime_ns)
        found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, what)
    return found


def before(host: Host) -> None:
    """What was there before kubeforge came."""
    plain: list[Operation] = [
        Directory(path=host.path("etc/conf.d"), owner=host.owner, group=host.group, mode=0o750),
        File(path=host.path("etc/secret"), content=Secret(BINARY), owner=host.owner, group=host.group, mode=0o600),
        File(path=host.path("etc/text"), content=b"old\n", owner=host.owner, group=host.group, mode=0o640),
        File(path=host.path("etc/attributes"), content=b"same\n", owner=host.owner, group=host.group, mode=0o640),
        File(path=host.path("etc/plain"), content=b"file\n", owner=host.owner, group=host.group),
        Symlink(path=host.path("etc/link"), target="text"),
        Directory(path=host.path("tree/a/b c"), owner=host.owner, group=host.group, mode=0o711),
        File(path=host.path("tree/a/b c/x"), content=BINARY, owner=host.owner, group=host.group, mode=0o604),
        Symlink(path=host.path("tree/a/l"), target="b c"),
    ]
    host.apply(plain)
    host.remote.run(("rm", "-rf", "--", str(host.state)))


def first(host: Host) -> list[Operation]:
    owner, group = host.owner, host.group
    return [
        Directory(path=host.path("new/deep/er"), owner=owner, group=group, mode=0o700),
        File(path=host.path("new/deep/er/file"), content=b"1\n", owner=owner, group=group),
        File(path=host.path("etc/text"), content=b"new\n", owner=owner, group=group, mode=0o600),
        File(path=host.path("etc/secret"), content=Secret(b"other"), owner=owner, group=group, mode=0o600),
        File(path=host.path("etc/attributes"), content=None, owner=owner, group=group, mode=0o444),
        Directory(path=host.path("etc/conf.d"), owner=owner, group=group, mode=0o700),
        Symlink(path=host.path("etc/link"), target="elsewhere"),
        Symlink(path=host.path("etc/plain"), target="text"),
        Absent(path=host.path("tree"), recursive=True),
        Command(argv=("touch", host.path("made")), creates=host.path("made")),
    ]


def second(host: Host) -> list[Operation]:
    owner, group = host.owner, host.group
    return [
        File(path=host.path("etc/text"), content=b"newer\n", owner=owner, group=group, mode=0o640),
        Absent(path=host.path("new/deep/er/file")),
        Absent(path=host.path("etc/link")),
        Directory(path=host.path("tree"), owner=owner, group=group),
        File(path=host.path("tree/a"), content=b"now a file\n", owner=owner, group=group),
        File(path=host.path("again"), content=b"x", owner=owner, group=group),
    ]


def take_back(host: Host, operations: Sequence[Operation], run_id: str) -> list[str]:
    return host.apply(operations, run_id)


def test_back_and_back_again(every_host: Host) -> None:
    host = every_host
    before(host)
    origin = snapshot(host)
    host.apply(first(host), "run-1")
    middle = snapshot(host)
    assert host.apply(first(host), "run-x") == []
    host.apply(second(host), "run-2")
    assert snapshot(host) != middle
    assert [(g.number, g.run_id) for g in ledger(host).generations] == [(1, "run-1"), (2, "run-2")]

    take_back(host, rollback(ledger(host)), "back-1")
    assert snapshot(host) == middle
    assert host.apply(first(host), "run-y") == []
    take_back(host, rollback(ledger(host)), "back-2")
    assert snapshot(host) == origin
    assert rollback(ledger(host)) == []
    host.apply(first(host), "run-3")
    assert [(g.number, g.run_id) for g in ledger(host).generations] == [(1, "run-3")]


def test_reset(every_host: Host) -> None:
    host = every_host
    before(host)
    origin = snapshot(host)
    for run, operations in (("run-1", first(host)), ("run-2", second(host)), ("run-3", first(host))):
        host.apply(operations, run)
    host.remote.write(host.path("new/by-others"), b"goes with the folder")
    assert take_back(host, reset(ledger(host)), "reset")
    assert snapshot(host) == origin


def test_a_rollback_keeps_what_others_put_into_a_folder(host: Host) -> None:
    host.apply([Directory(path=host.path("data"))], "run-1")
    (host.place / "data/theirs").write_text("x")
    take_back(host, rollback(ledger(host)), "back")
    assert (host.place / "data/theirs").exists()


def test_collecting_never_loses_the_origin(every_host: Host) -> None:
    host = every_host
    before(host)
    origin = snapshot(host)
    states = []
    for number in range(1, 6):
        host.apply(first(host) if number % 2 else second(host), f"run-{number}")
        states.append(snapshot(host))
        host.apply(collect(ledger(host), keep=2), f"collect-{number}")
    kept = ledger(host)
    assert [g.number for g in kept.generations] == [0, 4, 5]
    assert collect(kept, keep=2) == []
    names = sorted(path.name for path in (host.state / "generations").iterdir())
    assert names == ["4-run-4", "5-run-5", "ledger", "origin"]

    take_back(host, rollback(ledger(host)), "back")
    assert snapshot(host) == states[3]
    take_back(host, rollback(ledger(host)), "back")
    assert snapshot(host) == states[2]
    assert rollback(ledger(host)) == []
    take_back(host, reset(ledger(host)), "reset")
    assert snapshot(host) == origin


def test_only_what_was_begun_is_taken_back(host: Host) -> None:
    before(host)
    origin = snapshot(host)
    steps: list[Operation] = [
        File(path=host.path("etc/text"), content=b"1"),
        Command(argv=("false",), name="fails"),
        File(path=host.path("etc/plain"), content=b"2"),
    ]
    assert [result.status for result in host.act(host.plan(steps), "run-1")] == [0, 1]
    host.remote.write(host.path("etc/plain"), b"by hand, later", mode=0o644)
    by_hand = snapshot(host)[host.path("etc/plain")]
    take_back(host, rollback(ledger(host)), "back")
    assert snapshot(host) == {**origin, host.path("etc/plain"): by_hand}


def test_acts_of_one_run_are_one_generation(host: Host) -> None:
    for number in range(3):
        host.apply([File(path=host.path("x"), content=b"%d" % number)], "run-1")
    [generation] = ledger(host).generations
    assert len(generation.changes) == 3
    take_back(host, rollback(ledger(host)), "back")
    assert snapshot(host) == {}


def test_what_is_ours(host: Host) -> None:
    before(host)
    host.apply(first(host), "run-1")
    host.apply(second(host), "run-2")
    ours = managed_paths(ledger(host))
    assert ours[host.path("etc/text")].generation == 2
    assert ours[host.path("etc/secret")].run_id == "run-1"
    assert ours[host.path("new/deep")].title == f"directory {host.path('new/deep/er')}"
    assert host.path("etc/link") not in ours  # removed by us: nothing there is ours
    host.apply(collect(ledger(host), keep=0), "collect")
    assert managed_paths(ledger(host)) == ours


def test_copies_are_for_root_only(host: Host) -> None:
    before(host)
    host.apply(first(host), "run-1")
    folder = host.state / "generations/1-run-1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    copy = Path(f"{folder}/1{host.path('etc/secret')}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert b"other" not in (folder.parent / "ledger").read_bytes()


def test_nothing_is_done_where_nothing_can_be_kept(host: Host) -> None:
    before(host)
    origin = snapshot(host)
    host.state.mkdir()
    (host.state / "generations").write_text("in the way")
    with pytest.raises(OperationFailed, match="could not be kept, so nothing was done"):
        host.apply(first(host), "run-1")
    assert snapshot(host) == origin


def test_a_lost_copy_is_said(host: Host) -> None:
    before(host)
    host.apply(first(host), "run-1")
    host.remote.run(("rm", "-rf", f"{host.state}/generations/1-run-1"))
    with pytest.raises(Unreadable, match=r"is not at .* any more"):
        host.plan(rollback(ledger(host)))


def test_a_torn_ledger_line_is_skipped(host: Host) -> None:
    host.apply([File(path=host.path("x"), content=b"1")], "run-1")
    file = host.state / "generations/ledger"
    file.write_bytes(file.read_bytes() + b'{"generation":2,"act":1,"run":"run-2","chan\n')
    assert [g.number for g in ledger(host).generations] == [1]


def test_units_and_undo_lines_go_back_in_order() -> None:
    """Stop what did not run, undo newest first, put files back, reload, and only then start what ran."""
    seen = Observation(
        paths=dict.fromkeys(("/etc/systemd/system/a.service", "/etc/x")),
        units={
            "a.service": UnitState(),
            "b.service": UnitState("loaded", "active", "enabled"),
        },
    )
    changes = [
        Change(title="file a", verb=Verb.CREATE, why="", touches=("/etc/systemd/system/a.service",)),
        Change(title="sysctl s", verb=Verb.UPDATE, why="", undo=("echo s",)),
        Change(title="unit a", verb=Verb.START, why="", effect=Observation(units={"a.service": UnitState()})),
        Change(title="file x", verb=Verb.CREATE, why="", touches=("/etc/x",)),
        Change(title="unit b", verb=Verb.RESTART, why="", effect=Observation(units={"b.service": UnitState()})),
    ]
    line = b'{"generation":3,"act":1,' + record(changes, seen, "r").line.encode()
    begun = b"".join(b'{"generation":3,"act":1,"begun":%d}\n' % index for index in range(5))
    kept = read_ledger(Observation(contents={"/g/ledger": line + begun}), "/g")
    operations = rollback(kept)
    assert [operation.title for operation in operations] == [
        "restore a.service before its files",
        "restore /etc/x",
        "undo sysctl s (3.1)",
        "restore /etc/systemd/system/a.service",
        "systemd reloads",
        "restore b.service after its files",
        "generation 3",
    ]
    running = Observation(
        units={"a.service": UnitState("loaded", "active", "enabled"), "b.service": seen.units["b.service"]}
    )
    stop = operations[0].decide(running)
    assert stop is not None
    assert stop.lines == ("systemctl disable -- a.service", "systemctl stop -- a.service")
    restart = operations[5].decide(Observation(units=seen.units, changed=frozenset({"restore /etc/x"})))
    assert restart is not None
    assert restart.lines == ("systemctl restart -- b.service",)
    assert operations[5].decide(running) is None  # nothing came back, so nothing is restarted
    assert json.loads(line)["changes"][4]["units"] == {
        "b.service": {"load": "loaded", "active": "active", "file": "enabled"}
    }
