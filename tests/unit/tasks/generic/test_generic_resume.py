"""What leaves no trace on a host, in runs that are killed and gone on with: done once, or told to be doubtful."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from kubeforge.cluster.boots import _BOOT
from kubeforge.engine.events import ChangeDone, Event, StepDone
from kubeforge.engine.records import recorded
from kubeforge.engine.resume import GoingOn, chosen
from kubeforge.engine.run import Session
from kubeforge.operations.model import Observation
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING

BOOK = """
- play: A
  hosts: all
  tasks:
    - command.run: {command: make it}
    - command.script: {text: "echo it", name: it}
    - service.restart: {name: web}
    - host.reboot: {when: always}
    - file.present: {path: /etc/late, content: late}
"""
ONCE = ["command make it", "command it", "restart web.service"]


class Killed(BaseException):
    """SIGKILL: nothing more is written, nothing more is sent."""


class Runs:
    """Recorded runs of one playbook on one host."""

    def __init__(self, site: Any, state: Path) -> None:
        self.site = site
        self.folder = state / "runs" / "default"
        self.text = BOOK
        self.boots = 0
        host = site.host
        host.overlay(Observation(units={"web.service": RUNNING}))
        host.commands["sh", "-c", _BOOT] = Completed(0, b"0\n")
        self.up = b""
        host.commands["sh",] = lambda _: Completed(0, self.up)
        host.commands["systemctl", "--no-block", "reboot"] = self.boot
        host.commands["systemctl", "is-system-running"] = Completed(0, b"running\n")

    def boot(self, _: bytes) -> Completed:
        self.boots += 1
        self.site.host.commands["sh", "-c", _BOOT] = Completed(0, f"{self.boots}\n".encode())
        return Completed(0)

    def run(self, *sinks: Callable[[Event], None], resume: GoingOn | None = None) -> Any:
        with self.site.session(self.text) as plain:
            book = plain.who.playbook
        with Session(
            inventory=self.site.inventory,
            playbook=book,
            registry=self.site.registry,
            remotes=self.site,
            reader=self.site.reader,
            exclusive=False,
            resume=resume,
        ) as session:
            plan = session.plan()
            for sink in sinks:
                session.events.add(sink)
            return session.apply(plan)

    def killed(self, title: str, *, before: bool) -> None:
        """Run until the end of a change is told; `before` that is recorded, or right after."""

        def kill(event: Event) -> None:
            ended = isinstance(event, ChangeDone) and event.title == title
            if ended if before else isinstance(event, StepDone) and event.step == title:
                raise Killed

        with pytest.raises(Killed):
            self.run(kill)
        (recorded(self.folder)[0].path / "result.json").unlink(missing_ok=True)

    def resumed(self, doubtful: str | None = None) -> Any:
        return self.run(resume=GoingOn(chosen(self.folder, "last", "site"), doubtful))

    def done(self, title: str) -> int:
        return [change.title for change in self.site.host.changes].count(title)


@pytest.fixture
def runs(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    return Runs(site, tmp_path / "state")


@pytest.mark.parametrize("title", ["command make it", "command it", "restart web.service", "file /etc/late"])
def test_nothing_is_done_twice(runs: Runs, title: str) -> None:
    runs.killed(title, before=True)
    result = runs.resumed()
    assert (result.exit_code, result.remaining) == (0, ())
    assert [runs.done(each) for each in (*ONCE, "file /etc/late")] == [1, 1, 1, 1]
    assert runs.boots == 1


def test_a_reboot_that_is_recorded_is_not_repeated(runs: Runs) -> None:
    runs.killed("file /etc/late", before=True)
    assert runs.boots == 1
    assert runs.resumed().exit_code == 0
    assert runs.boots == 1


UP: Final = {"since the run": b"1000.00 100000 100\n", "for long": b"90000.50 25 100\n"}


def test_a_host_tells_that_it_has_rebooted(runs: Runs) -> None:
    """Killed while it waited for the host; that is recorded, so that the next one in the chain knows it, too."""
    runs.killed("reboot", before=True)
    runs.up = UP["since the run"]
    runs.site.host.fail["file /etc/late"] = 1
    assert runs.resumed().exit_code == 13
    runs.up = b""
    runs.site.host.fail.clear()
    assert runs.resumed().exit_code == 0
    assert runs.boots == 1


def test_a_host_tells_that_it_has_not_rebooted(runs: Runs) -> None:
    runs.site.host.commands["systemctl", "--no-block", "reboot"] = lambda _: _kill()
    with pytest.raises(Killed):
        runs.run()
    (recorded(runs.folder)[0].path / "result.json").unlink(missing_ok=True)
    runs.site.host.commands["systemctl", "--no-block", "reboot"] = runs.boot
    runs.up = UP["for long"]
    assert runs.resumed().exit_code == 0
    assert runs.boots == 1


def _kill() -> Completed:
    raise Killed


def test_a_reboot_of_which_nobody_can_tell_is_doubtful(runs: Runs) -> None:
    runs.killed("reboot", before=True)
    assert "nothing tells how far it came" in runs.resumed().failures[0].cause
    assert runs.resumed("skip").exit_code == 0
    assert runs.boots == 1


def test_a_restart_of_which_nobody_knows_is_repeated(runs: Runs) -> None:
    """The host dies in the middle of it; beginning a service anew twice does no harm."""
    runs.site.host.reboot_at = 2
    assert runs.run().failures[0].error == "ConnectionLost"
    assert runs.resumed().exit_code == 0
    assert [runs.done(each) for each in ONCE[:2]] == [1, 1]
    assert runs.boots == 1


HANDLED = """
- play: A
  hosts: all
  tasks:
    - file.present: {path: /etc/web.conf, content: new}
      notify: again
  handlers:
    - name: again
      service.restart: {name: web}
- play: B
  hosts: all
  tasks: [{command.run: {command: late}}]
"""


def test_a_handler_that_is_notified_anew_is_due_anew(runs: Runs) -> None:
    """It has run, and somebody changed the file before the run was gone on with: it runs once more."""
    runs.text = HANDLED
    runs.site.host.fail["command late"] = 1
    assert runs.run().exit_code == 13
    assert runs.done("restart web.service") == 1
    runs.site.host.fail.clear()
    runs.site.host.put("/etc/web.conf", b"somebody else's")
    assert runs.resumed().exit_code == 0
    assert runs.done("restart web.service") == 2


def test_a_handler_that_has_run_is_not_repeated(runs: Runs) -> None:
    runs.text = HANDLED
    runs.site.host.fail["command late"] = 1
    assert runs.run().exit_code == 13
    runs.site.host.fail.clear()
    assert runs.resumed().exit_code == 0
    assert [runs.done("restart web.service"), runs.done("command late")] == [1, 1]
