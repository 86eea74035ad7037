"""The command line on a lab host: check changes nothing, and a run killed at any moment is gone on with by the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubeforge.lab.lab import Lab
from kubeforge.transport.connect import connect
from kubeforge.transport.remote import ShellRemote
from tests.integration.generic.conftest import Enter

pytestmark = pytest.mark.lab

BOOK = """
- play: Slow
  hosts: cp1
  tasks:
    - file.directory: {path: /srv/kfit-killed}
    - file.present: {path: /srv/kfit-killed/conf, content: "1\\n"}
      notify: again
    - command.run: {command: [sh, -c, "sleep 1; echo once >>/srv/kfit-killed/slow"], creates: /srv/kfit-killed/slow}
    - wait.file: {path: /srv/kfit-killed/slow, deadline: 30}
    - file.line: {path: /srv/kfit-killed/lines, line: one, create: true}
    - command.run: {command: [sh, -c, "sleep 1; echo once >>/srv/kfit-killed/late"], creates: /srv/kfit-killed/late}
  handlers:
    - name: again
      command.run: {command: [sh, -c, "echo handled >>/srv/kfit-killed/handled"], name: again}
"""


@pytest.fixture(autouse=True)
def own_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No run of an earlier lab of this name can be gone on with."""
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))


PROGRAM = (sys.executable, "-c", "from kubeforge.cli import main; main()", "playbook", "run")


def run(lab: Lab, book: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, str(book), "-i", str(lab.inventory), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def plan(lab: Lab, book: Path) -> Any:
    done = run(lab, book, "--check", "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TRACELESS = """
- play: Traceless
  hosts: cp1
  tasks:
    - command.run: {command: [sh, -c, "sleep 0.5; echo once >>/srv/kfit-traceless/command"], name: one}
    - command.script: {text: "sleep 0.5; echo once >>/srv/kfit-traceless/script", name: two}
    - command.run: {command: [sh, -c, "echo once >>/srv/kfit-traceless/nobody"], name: three}
      become_user: nobody
    - service.restart: {name: ssh}
    - wait.file: {path: /srv/kfit-traceless/script, deadline: 30}
    - command.run: {command: [sh, -c, "sleep 0.5; echo once >>/srv/kfit-traceless/last"], name: four}
"""
PREPARE = "f=/srv/kfit-traceless; rm -rf $f; mkdir $f; install -m 0666 /dev/null $f/nobody"


@pytest.mark.parametrize("moment", [0.5, 1.0, 1.4, 1.8, 2.2, 2.6, 3.2])
def test_what_leaves_no_trace_is_not_done_twice(lab: Lab, enter: Enter, tmp_path: Path, moment: float) -> None:
    """Killed at any moment and gone on with: the host's script goes on by itself, and nothing in it runs again."""
    book = tmp_path / "site.yml"
    book.write_text(TRACELESS)
    remote = ShellRemote(connect(enter("root").session("- debug.facts").inventory.hosts["cp1"]))
    remote.run(("sh", "-ec", PREPARE))
    process = subprocess.Popen([*PROGRAM, str(book), "-i", str(lab.inventory), "--yes"], stdout=subprocess.DEVNULL)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    done = run(lab, book, "--yes", "--resume")
    if "no such run had begun" in done.stderr:  # killed before its plan was recorded
        done = run(lab, book, "--yes")
    assert done.returncode == 0 or "ended well" in done.stderr, done.stderr
    for name in ("command", "script", "nobody", "last"):
        assert remote.read(f"/srv/kfit-traceless/{name}") == b"once\n", name
    remote.close()


@pytest.mark.parametrize("moment", [0.3, 0.8, 1.3, 2.0, 2.8, 3.5])
def test_killed_at_any_moment(lab: Lab, enter: Enter, tmp_path: Path, moment: float) -> None:
    """Whatever the kill left: the next run ends it, the handler has run, and nothing that guards itself ran twice."""
    book = tmp_path / "site.yml"
    book.write_text(BOOK)
    remote = ShellRemote(connect(enter("root").session("- debug.facts").inventory.hosts["cp1"]))
    remote.run(("rm", "-rf", "/srv/kfit-killed"))
    before = plan(lab, book)
    assert remote.run(("test", "-e", "/srv/kfit-killed"), expect=(1,)).status == 1, "a check changes nothing"
    assert before["steps"]
    process = subprocess.Popen([*PROGRAM, str(book), "-i", str(lab.inventory), "--yes"], stdout=subprocess.DEVNULL)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    done = run(lab, book, "--yes")
    assert done.returncode == 0, done.stderr
    assert plan(lab, book)["steps"] == []
    assert remote.read("/srv/kfit-killed/slow") == b"once\n"
    assert remote.read("/srv/kfit-killed/late") == b"once\n"
    assert b"handled\n" in remote.read("/srv/kfit-killed/handled")
    assert remote.run(("sh", "-c", "ls /var/lib/kubeforge/owed 2>/dev/null | wc -l")).stdout.strip() == b"0"
    remote.close()
