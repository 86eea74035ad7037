"""What goes wrong between two machines: cut uploads, changed hosts, loud commands, dead connections."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from kubeforge.errors import ChangedUnderneath, DeadlineExceeded, HostBusy, OperationFailed, ProtocolError
from kubeforge.operations import Command, Directory, File
from kubeforge.operations.model import Observation, Operation, Queries, Verb
from kubeforge.transport.protocol import act, observe
from kubeforge.transport.protocol.note import interrupted

from .conftest import Host

CUT: dict[str, Callable[[bytes], int]] = {
    "at half": lambda upload: len(upload) // 2,
    "between members": lambda _: 1536 * 10,
    "before the script": lambda upload: upload.rindex(b"run.sh\0"),
    "in the script": lambda upload: len(upload) - 2000,
}


def shell(host: Host, text: str, name: str = "x") -> Command:
    return Command(argv=("sh", "-c", text), name=name)


def test_a_source_with_a_blank_in_mountinfo() -> None:
    line = rb"1 2 0:3 / /m rw - cifs //srv/my\040share rw"
    seen = observe.parse(Queries(mounts=("/m",)), "n", b"n\0" + line + b"\n\0n", b"n\0")
    mount = seen.mounts["/m"]
    assert mount is not None
    assert (mount.source, mount.raw) == ("//srv/my share", line)


def joined(chunks: Iterable[bytes]) -> bytes:
    return b"".join(chunks)


@pytest.mark.parametrize("where", CUT)
def test_a_cut_upload_runs_nothing(every_host: Host, where: str) -> None:
    host = every_host
    changes = host.plan([File(path=host.path(f"cut{n}"), content=b"z" * 900, owner=host.owner) for n in range(20)])
    prepared = act.prepare(changes, host.seen, run_id="cut")
    upload = joined(prepared.chunks())
    remote_shell = host.remote._shell
    done = host.transport.run(act.command(str(host.state), remote_shell), [upload[: CUT[where](upload)]], deadline=30)
    assert done.status != 0
    assert list(host.place.glob("cut*")) == []
    assert list(host.state.iterdir()) == []
    with pytest.raises(ProtocolError):
        prepared.parse(done.stdout, done.stderr)


def test_a_cut_observation_runs_nothing(every_host: Host) -> None:
    host = every_host
    script = observe.script(Queries(stats=("/etc",), tests=(("touch", host.path("half")),)), "n0nce")
    for length in (len(script) - 16, len(script) - 3, len(script) // 2):
        done = host.transport.run(f"exec {host.remote._shell} -c 'eval \"$(cat)\"'", [script[:length]], deadline=30)
        assert done.status != 0
        assert not (host.place / "half").exists()
    with pytest.raises(ProtocolError):
        observe.parse(Queries(stats=("/etc",)), "n0nce", done.stdout, done.stderr)


@pytest.mark.parametrize("cut", [1, 5, 40, 200])
def test_a_cut_answer_is_not_taken_for_whole(cut: int) -> None:
    nonce, stat = "kf1", b"/x\x0081a4\x00root\x00root\x000\x000\x001\x002\x00/x\x00"
    whole = b"motd\n" + b"kf1\x00" + stat + b"\x00" + b"kf1"
    queries = Queries(stats=("/x",))
    assert set(observe.parse(queries, nonce, whole, b"kf1\x00\x00").paths) == {"/x"}
    with pytest.raises(ProtocolError):
        observe.parse(queries, nonce, whole[:-cut], b"kf1\x00\x00")


def test_errors_that_do_not_match_names_are_refused() -> None:
    with pytest.raises(ProtocolError, match="2 paths could not be looked at, but there are 1"):
        observe.parse(Queries(stats=("/x", "/y")), "kf1", b"kf1\x00\x00kf1", b"kf1\x00stat: killed\n\x00")


@pytest.mark.parametrize("what", ["content", "same size", "removed", "mode", "replaced by a folder"])
def test_changed_underneath(every_host: Host, what: str) -> None:
    host = every_host
    target = host.place / "under"
    host.apply([File(path=str(target), content=b"1", owner=host.owner, group=host.group)])
    other: list[Operation] = [Directory(path=host.path("new")), File(path=str(target), content=b"2")]
    changes = host.plan(other)
    before = target.stat()
    if what == "content":
        target.write_bytes(b"333")
    elif what == "same size":
        target.write_bytes(b"3")
        os.utime(target, (before.st_atime, before.st_mtime))
    elif what == "mode":
        target.chmod(0o777)
    else:
        target.unlink()
    if what == "replaced by a folder":
        target.mkdir()
    with pytest.raises(ChangedUnderneath, match=f"so nothing was done: {target}") as raised:
        host.act(changes)
    assert raised.value.host == "here"
    assert not (host.place / "new").exists()


def test_a_test_that_turned_is_changed_underneath(host: Host) -> None:
    due = Command(argv=("touch", host.path("ran")), unless=("test", "-e", host.path("flag")))
    changes = host.plan([due])
    (host.place / "flag").touch()
    with pytest.raises(ChangedUnderneath, match="test test -e"):
        host.act(changes)
    assert not (host.place / "ran").exists()


def test_what_others_put_into_a_folder_is_no_change_of_it(host: Host) -> None:
    host.apply([Directory(path=host.path("d"), owner=host.owner, group=host.group, mode=0o700)])
    changes = host.plan([Directory(path=host.path("d"), owner=host.owner, group=host.group, mode=0o750)])
    (host.place / "d/x").touch()
    os.utime(host.place / "d", (1, 1))
    assert [result.status for result in host.act(changes)] == [0]


def test_a_failing_command_ends_the_act(every_host: Host) -> None:
    host = every_host
    operations = [shell(host, "echo out; echo err >&2; exit 7", "bad"), shell(host, f"touch {host.place}/more", "more")]
    results = host.act(host.plan(operations))
    assert [(result.title, result.status, result.output) for result in results] == [("command bad", 7, b"out\nerr\n")]
    assert not (host.place / "more").exists()
    found = interrupted(host.note)
    assert found is not None
    assert (found.failed, found.pending) == ("command bad", ("command more",))
    assert "0 of 2 changes were made, then command bad failed" in str(found)


def test_lines_stop_at_the_first_that_fails(every_host: Host) -> None:
    """`set -e` holds inside a change, whatever stands around it."""
    host = every_host
    change = host.plan([shell(host, "exit 0", "set-e")])[0]
    lines = ("false", f"touch {host.place}/after")
    assert host.act([type(change)(title="t", verb=Verb.RUN, why="", lines=lines)])[0].status == 1
    assert not (host.place / "after").exists()


def test_fifty_megabytes_of_nuls(every_host: Host) -> None:
    host = every_host
    [result] = host.act(host.plan([Command(argv=("head", "-c", "50000000", "/dev/zero"))]))
    assert (result.status, result.output, result.output_size) == (0, bytes(65536), 50_000_000)


def test_output_that_looks_like_an_answer(every_host: Host) -> None:
    host = every_host
    forged = "R 5 0 0 0 0 0\nE done\nkf0"
    results = host.act(host.plan([Command(argv=("printf", "%s", forged)), Command(argv=("echo", "next"))]))
    assert [result.output for result in results] == [forged.encode(), b"next\n"]


def test_a_daemon_left_behind_holds_nothing_up(every_host: Host) -> None:
    host = every_host
    began = time.monotonic()
    [result] = host.act(host.plan([shell(host, f"sleep 20 & echo $! > {host.place}/pid; echo started")]))
    pid = int((host.place / "pid").read_text())
    try:
        assert (result.status, result.output) == (0, b"started\n")
        assert time.monotonic() - began < 5
        assert [r.status for r in host.act(host.plan([shell(host, "true")]))] == [0]  # nor does it hold the lock
    finally:
        os.kill(pid, signal.SIGTERM)


def test_a_command_reads_nothing(every_host: Host) -> None:
    host = every_host
    results = host.act(host.plan([Command(argv=("cat",)), Command(argv=("echo", "next"))]))
    assert [(result.status, result.output) for result in results] == [(0, b""), (0, b"next\n")]


def test_a_change_that_does_not_end_is_ended(host: Host) -> None:
    [result] = host.act(host.plan([Command(argv=("sleep", "60"), deadline=1)]))
    assert result.status == 124
    assert b"did not end within 1 s" in result.output
    assert 0.5 < result.seconds < 10


def test_the_connection_dies(every_host: Host) -> None:
    """The script goes on; a run meanwhile is told so; the note then says what happened."""
    host = every_host
    go = host.place / "go"
    waiting = f"[ {{n}} = 0 ] || until [ -e {go} ]; do sleep 0.02; done; echo {{n}} >> {host.place}/log"
    steps = [shell(host, waiting.format(n=n), str(n)) for n in range(4)]
    prepared = act.prepare(host.plan(steps), host.seen, run_id="dead")
    argv = [*host.transport._prefix, "/bin/sh", "-c", act.command(str(host.state), host.remote._shell)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdin.write(joined(prepared.chunks()))
    child.stdin.close()
    wait_for((host.place / "log").exists)
    wait_for(lambda: "command 0" in getattr(interrupted(host.note), "done", ()))
    child.stdout.close()
    child.stderr.close()
    with pytest.raises(HostBusy):
        host.act(host.plan([shell(host, "true")]))
    go.touch()
    child.wait(30)
    assert (host.place / "log").read_text().split() == ["0", "1", "2", "3"]
    assert interrupted(host.note) is None
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "run"]


def test_what_a_dead_act_left_is_swept(host: Host) -> None:
    host.apply([shell(host, "true")])
    child = subprocess.Popen(["true"])
    child.wait()
    left = host.state / f"act.{child.pid}.abcdef"
    alive = host.state / f"act.{os.getpid()}.abcdef"
    for folder in (left, alive):
        folder.mkdir()
        (folder / "0").write_text("secret")
    host.apply([shell(host, "true")])
    assert not left.exists()
    assert alive.exists()


def test_no_room_is_said(host: Host, tmp_path: Path) -> None:
    prepared = act.prepare(host.plan([shell(host, "true")]), Observation(), run_id="r")
    with pytest.raises(OperationFailed, match="no room left"):
        prepared.parse(b"", b"tar: 0: Cannot write: No space left on device\n")


def test_run_says_why_it_failed(host: Host) -> None:
    with pytest.raises(OperationFailed, match="ended with status 3") as raised:
        host.remote.run(("sh", "-c", "echo why >&2; exit 3"))
    assert raised.value.evidence == ("why",)
    with pytest.raises(OperationFailed, match="No such file"):
        host.remote.read(host.path("none"))
    with pytest.raises(OperationFailed, match=r"No such file|nonexistent"):
        host.remote.write(host.path("none/x"), b"")
    with pytest.raises(DeadlineExceeded):
        host.remote.run(("sleep", "30"), deadline=0.3)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "condition did not come true"
        time.sleep(0.01)


def test_no_flock_is_not_taken_for_busy(host: Host) -> None:
    prepared = act.prepare(host.plan([shell(host, "true")]), Observation(), run_id="r")
    with pytest.raises(OperationFailed, match="flock does not work"):
        prepared.parse(f"{prepared.nonce}\nE unlocked\n{prepared.nonce}".encode(), b"")
