"""Faults that are really made: no room, nothing may be written, far too much output, a host that dies in its batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeforge.lab.lab import Lab
from kubeforge.spec.paths import RUN_NOTE

pytestmark = pytest.mark.lab

PROGRAM = (sys.executable, "-c", "from kubeforge.cli import main; main()")
BIG = 2 * 1024 * 1024
OUTPUT = 100_000_000
MORE_MEMORY = 32 * 1024  # KiB that 100 MB of output may cost beyond what the command takes anyway


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("generic-faults", control_planes=1, workers=2) as made:
        yield made


@dataclass(frozen=True)
class Said:
    """What a run of the command left."""

    code: int
    text: str
    memory: int  # its own peak, KiB

    def check(self, code: int, *words: str) -> Said:
        assert "Traceback" not in self.text, self.text
        assert self.code == code, self.text
        assert [word for word in words if word not in self.text] == [], self.text
        return self


@dataclass(frozen=True)
class Desk:
    """Somebody's folder with a playbook, and the command.

    Args:
        lab: the hosts.
        folder: of the playbook.
    """

    lab: Lab
    folder: Path

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "said").open("wb") as said:
            return subprocess.Popen([*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def end(self, process: subprocess.Popen[bytes]) -> Said:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with (self.folder / "said").open("rb") as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - 20_000))
            return Said(process.returncode, said.read().decode(), usage.ru_maxrss)

    def words(self, text: str, *options: str) -> tuple[str, ...]:
        (self.folder / "site.yml").write_text(text)
        return ("playbook", "run", str(self.folder / "site.yml"), "-i", str(self.lab.inventory), "--yes", *options)

    def run(self, text: str, *options: str) -> Said:
        return self.end(self.start(*self.words(text, *options)))

    def events(self) -> list[dict[str, Any]]:
        """Return what the last run has recorded."""
        run = max((self.folder / "state").glob("runs/*/*"))
        return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]

    def sh(self, host: str, script: str) -> str:
        return self.lab.host(host).run(("sh", "-euc", script)).stdout


@pytest.fixture
def desk(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "big").write_bytes(os.urandom(BIG))
    return Desk(lab, tmp_path)


@contextmanager
def doctored(desk: Desk, make: str, mend: str) -> Iterator[None]:
    """Do something to cp1, and mend it in the end."""
    desk.sh("cp1", make)
    try:
        yield
    finally:
        desk.sh("cp1", mend)


USERS = {"root": (), "ops": ("-e", "ansible_user=ops", "-e", "ansible_become=true")}
HELD = "/srv/kfit-held"
MADE = f"mkdir {HELD}; printf 'old\\n' >{HELD}/f"
FOLDER_READ_ONLY = f"{MADE}; mount --bind {HELD} {HELD}; mount -o remount,bind,ro {HELD}"
FILE_READ_ONLY = f"{MADE}; mount --bind {HELD}/f {HELD}/f; mount -o remount,bind,ro {HELD}/f"
FREED = f"umount {HELD} 2>/dev/null || umount {HELD}/f; rm -r {HELD}"
WRITING = {
    "file": f"file.present: {{path: {HELD}/f, content: new}}",
    "mode": f'file.present: {{path: {HELD}/f, mode: "0600"}}',
    "line": f"file.line: {{path: {HELD}/f, line: new}}",
    "copy": f"file.copy: {{src: big, dest: {HELD}/f}}",
    "absent": f"file.absent: {{path: {HELD}/f}}",
    "download": f'file.download: {{url: "file:///etc/hostname", dest: {HELD}/f, sha256: "@"}}'.replace("@", "0" * 64),
}
TITLES = {"line": f"edit {HELD}/f: new", "absent": f"absent {HELD}/f", "download": f"download {HELD}/f"}
BUSY = ("file", "line", "copy", "absent")
"""What is renamed over a file that is mounted, or removed, is refused as busy."""


def book(*calls: str, head: str = "hosts: cp1") -> str:
    return f"- play: It\n  {head}\n  tasks:\n" + "".join(f"    - {call}\n" for call in calls)


def intact(desk: Desk) -> bool:
    """Whether the file is as it was, and nothing is beside it."""
    return desk.sh("cp1", f"ls -A {HELD}; stat -c %a {HELD}/f; cat {HELD}/f").split() == ["f", "644", "old"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("what", WRITING)
def test_a_folder_that_is_read_only(desk: Desk, what: str, user: str) -> None:
    with doctored(desk, FOLDER_READ_ONLY, FREED):
        said = desk.run(book(WRITING[what]), *USERS[user])
        said.check(13, f"cp1: {TITLES.get(what, f'file {HELD}/f')}", "Read-only file system", "next: ")
        assert intact(desk)
    desk.run(book("debug.facts"), *USERS[user]).check(0)


@pytest.mark.parametrize("what", BUSY)
def test_a_file_that_is_read_only(desk: Desk, what: str) -> None:
    with doctored(desk, FILE_READ_ONLY, FREED):
        said = desk.run(book(WRITING[what])).check(13, f"cp1: {TITLES.get(what, f'file {HELD}/f')}", "next: ")
        assert "Device or resource busy" in said.text
        assert f"{HELD}/f" in said.text
        assert intact(desk)


FULL = f"mkdir {HELD}; mount -t tmpfs -o size=1m kfit {HELD}; printf 'old\\n' >{HELD}/f"
BIG_FILES = {
    "present": f"file.present: {{path: {HELD}/f, content: '{{{{ \"x\" * {BIG} }}}}'}}",
    "copy": f"file.copy: {{src: big, dest: {HELD}/f}}",
    "download": f"file.download: {{url: 'file:///srv/kfit-big', dest: {HELD}/f, sha256: '{'0' * 64}'}}",
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("what", BIG_FILES)
def test_no_room_where_a_file_goes(desk: Desk, what: str, user: str) -> None:
    """What is there stays, and what was half written is taken away: the file system would stay full of it."""
    with doctored(desk, f"{FULL}; head -c {BIG} /dev/zero >/srv/kfit-big", f"{FREED}; rm /srv/kfit-big"):
        said = desk.run(book(BIG_FILES[what]), *USERS[user])
        title = TITLES["download"] if what == "download" else f"file {HELD}/f"
        said.check(13, f"cp1: {title}", "next: ")
        causes = ("No space left on device", "Failure writing output")  # coreutils' words, and curl's
        assert any(cause in said.text for cause in causes), said.text
        assert intact(desk)
        assert int(desk.sh("cp1", f"df --output=used {HELD} | tail -n 1")) < 64, "KiB"


MANY_LINES = f"yes 0123456789abcdef | head -c {OUTPUT}"
ONE_LINE = f"head -c {OUTPUT} /dev/zero | tr '\\0' x"


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (MANY_LINES, "--output=table"),
        (ONE_LINE, "--output=table"),
        (MANY_LINES, "--grouped"),
        (ONE_LINE, "--output=json"),
    ],
)
def test_a_hundred_megabytes_of_output(desk: Desk, command: str, option: str) -> None:
    """All of it is shown where it is shown as it comes; never is all of it in memory."""
    words = ("exec", "-i", str(desk.lab.inventory), option, "cp1", "--")
    idle = desk.end(desk.start(*words, "echo")).check(0)
    said = desk.end(desk.start(*words, command)).check(0)
    assert said.memory < idle.memory + MORE_MEMORY, f"{said.memory} KiB, and {idle.memory} KiB without output"
    if option == "--output=table":
        assert (desk.folder / "said").stat().st_size >= OUTPUT
    (desk.folder / "said").unlink()


ROLLED = "/srv/kfit-rolled"
SLOW = f"until [ -e {ROLLED}/go ]; do sleep 0.1; done; echo once >>{ROLLED}/slow"
ROLLING = (
    f'command.run: {{command: [sh, -c, "echo once >>{ROLLED}/count"], name: count}}',
    f'command.run: {{command: [sh, -c, "{SLOW}"], creates: {ROLLED}/slow, name: slow}}',
    f'file.present: {{path: {ROLLED}/last, content: "x\\n"}}',
)
HEAD = "hosts: all\n  order: inventory\n  serial: 2"
HOSTS = ("cp1", "w1", "w2")


def until(what: Callable[[], bool], process: subprocess.Popen[bytes], within: float = 60) -> None:
    end = time.monotonic() + within
    while not what():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < end, f"not within {within:g} s"
        time.sleep(0.05)


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_host_that_dies_in_the_middle_of_its_batch(desk: Desk, allowed: int) -> None:
    """Two hosts at a time: its neighbour comes to its end; the next batch begins where a failure is allowed."""
    for name in HOSTS:
        desk.sh(name, f"rm -rf {ROLLED}; mkdir {ROLLED}" + ("" if name == "w1" else f"; touch {ROLLED}/go"))
    text = book(*ROLLING, head=f"{HEAD}\n  max_failures: {allowed}")
    process = desk.start(*desk.words(text))
    begun = ("sh", "-c", f'[ "$(tail -n 1 {RUN_NOTE})" = "start 1" ]')
    until(lambda: desk.lab.host("w1").run(begun, check=False).returncode == 0, process)
    desk.lab.host("w1").kill()
    try:
        said = desk.end(process)
    finally:
        desk.lab.host("w1").start()
    said.check(11, "w1: ", "next: ")
    told = [(each["event"], each["host"]) for each in desk.events() if each["event"] in {"StepFailed", "HostDone"}]
    others = {("HostDone", "w2")} if allowed else set()
    assert {*told} == {("HostDone", "cp1"), ("StepFailed", "w1")} | others
    assert not others or told[-1] == ("HostDone", "w2"), "the next batch comes after this one"
    ended = {name: desk.sh(name, f"cat {ROLLED}/* 2>/dev/null || :").split() for name in HOSTS}
    assert ended["cp1"] == ["once", "x", "once"]
    assert ended["w2"] == (["once", "x", "once"] if allowed else [])
    assert ended["w1"] == ["once"]
    for name in HOSTS:
        desk.sh(name, f"touch {ROLLED}/go")
    desk.run(text, "--resume").check(0)
    for name in HOSTS:
        assert desk.sh(name, f"cat {ROLLED}/*").split() == ["once", "x", "once"], f"{name}: nothing was done twice"
    desk.run(text, "--resume").check(10, "ended well")
