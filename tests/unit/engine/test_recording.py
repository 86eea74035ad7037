"""Runs that begin nothing: what they record, and which runs they leave to go on with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kubeforge.engine import lock
from kubeforge.engine.journal import KEEP, UNBEGUN, Journal
from kubeforge.engine.records import RunRecord, recorded
from kubeforge.engine.resume import GoingOn, chosen, unfinished_hosts
from kubeforge.errors import ConnectionFailed, InputError, Locked
from kubeforge.operations.command import Command
from kubeforge.report.page import as_html
from kubeforge.report.runs import print_list

BOOK = "- {play: Write, hosts: all, tasks: [files.write, once]}"


@dataclass
class Site:
    """Two hosts whose runs are recorded."""

    world: Any
    folder: Path

    def attempt(self, resume: GoingOn | None = None, **more: Any) -> RunRecord:
        """Do as the verbs do; return what was recorded."""
        with self.world.session(BOOK, record=True, resume=resume, **more) as session:
            plan = session.plan()
            if session.blocked(plan) or not plan:
                for host in self.world.hosts.values():
                    host.calls.clear()
                session.record(plan)
                assert not any(host.calls for host in self.world.hosts.values()), "no round trip"
            else:
                session.apply(plan)
            return RunRecord(self.folder / session.run_id)

    def chosen(self, *, refused: bool = False) -> RunRecord:
        return chosen(self.folder, "last", "playbook", refused=refused)

    def away(self, name: str) -> None:
        def observe(_queries: Any) -> Any:
            raise ConnectionFailed("no route to host", host=name)

        self.world.hosts[name].observe = observe

    def back(self, name: str) -> None:
        del self.world.hosts[name].observe

    def settled(self) -> None:
        """Let the command be one that has its trace."""
        self.world.task("once", lambda _: [])


@pytest.fixture
def site(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    world = make("w1", "w2")
    world.task("once", lambda _: [Command(argv=("once",))])
    return Site(world, tmp_path / "runs" / "default")


def listed(folder: Path) -> str:
    console = Console(width=200)
    with console.capture() as said:
        print_list(recorded(folder), console)
    return said.get()


def test_nothing_to_do_is_recorded(site: Site) -> None:
    site.settled()
    first = site.attempt()
    run = site.attempt()
    assert first.made == 4
    assert (run.exit_code, run.made, run.remaining, run.failures) == (0, 0, 0, ())
    assert (run.was_idle, run.has_begun, first.was_idle) == (True, False, False)
    assert [event["event"] for event in run.events] == ["RunStarted", "RunDone"]
    assert [host.name for host in run.hosts] == ["w1", "w2"]
    assert {run.run_id for run in recorded(site.folder)} == {first.run_id, run.run_id}
    assert "nothing to do" in listed(site.folder)
    assert "Nothing to do: playbook" in as_html(run)
    assert {file.stat().st_mode & 0o777 for file in run.path.iterdir()} == {0o600}


def test_a_refused_run_is_recorded(site: Site) -> None:
    site.away("w2")
    run = site.attempt()
    assert site.world.hosts["w1"].acted == []
    assert (run.exit_code, run.made, run.remaining) == (11, 0, 3)
    assert [(one.host, one.cause) for one in run.failures] == [("w2", "no route to host")]
    assert [event["event"] for event in run.events] == ["RunStarted", "HostFailed", "RunDone"]
    assert "nothing done, 1 failure" in listed(site.folder)
    page = as_html(run)
    assert "Nothing done: playbook" in page
    assert "no route to host" in page


def test_who_has_no_journal_records_nothing(site: Site) -> None:
    with site.world.session(BOOK, record=False) as session:
        session.record(session.plan())
    assert recorded(site.folder) == []


def test_a_run_that_does_not_get_the_lock_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_arguments: Any, **_options: Any) -> Any:
        raise Locked("another run works on this cluster", host="w1")

    monkeypatch.setattr(lock, "held", held)
    with site.world.session(BOOK, record=True, exclusive=True) as session:
        plan = session.plan()
        with pytest.raises(Locked):
            session.apply(plan)
    (run,) = recorded(site.folder)
    assert (run.exit_code, run.has_begun, run.remaining) == (Locked.exit_code, False, 6)
    assert run.failures[0].cause == "another run works on this cluster"


def test_retry_is_about_the_refused_run(site: Site) -> None:
    site.world.hosts["w1"].fail["command once"] = 1
    failed = site.attempt()
    site.world.hosts["w1"].fail.clear()
    site.away("w2")
    refused = site.attempt()
    assert site.chosen(refused=True).run_id == refused.run_id
    assert "w2" in unfinished_hosts(refused)
    # what was done in the run before it, that alone knows
    assert site.chosen().run_id == failed.run_id


def test_nothing_is_done_twice_around_a_refused_run(site: Site) -> None:
    site.world.hosts["w1"].fail["command once"] = 1
    site.attempt()
    site.world.hosts["w1"].fail.clear()
    assert site.world.hosts["w2"].acted.count("command once") == 1
    site.away("w1")
    resumed = site.attempt(GoingOn(site.chosen()))
    site.attempt()
    site.back("w1")
    assert site.chosen().run_id == resumed.run_id, "it is a link of the chain"
    last = site.attempt(GoingOn(site.chosen()))
    assert last.exit_code == 0
    assert [site.world.hosts[name].acted.count("command once") for name in ("w1", "w2")] == [1, 1]


def test_a_refused_run_alone_is_run_anew(site: Site) -> None:
    site.away("w1")
    refused = site.attempt()
    site.back("w1")
    assert site.chosen().run_id == refused.run_id
    run = site.attempt(GoingOn(site.chosen()))
    assert (run.exit_code, run.made) == (0, 6)
    with pytest.raises(InputError, match="ended well"):
        site.chosen()


def test_a_refused_run_after_a_good_one_is_gone_on_with(site: Site) -> None:
    site.attempt()
    site.away("w1")
    refused = site.attempt()
    assert site.chosen().run_id == refused.run_id


def test_nothing_to_do_hides_no_run_that_left_something(site: Site) -> None:
    site.world.hosts["w1"].fail["command once"] = 1
    failed = site.attempt()
    site.world.hosts["w1"].fail.clear()
    site.settled()
    assert site.attempt(limit="w2").was_idle
    assert site.chosen().run_id == site.chosen(refused=True).run_id == failed.run_id


def test_nothing_left_ends_the_chain_where_all_took_part(site: Site) -> None:
    site.world.hosts["w1"].fail["command once"] = 1
    failed = site.attempt()
    site.world.hosts["w1"].fail.clear()
    site.settled()
    part = site.attempt(GoingOn(failed), limit="w2")
    assert (part.was_idle, part.resumed) == (True, {})
    whole = site.attempt(GoingOn(site.chosen()))
    assert (whole.was_idle, whole.resumed["run"]) == (True, failed.run_id)
    with pytest.raises(InputError, match="ended well"):
        site.chosen()


def test_runs_that_began_nothing_push_out_no_others(tmp_path: Path) -> None:
    for number in range(KEEP + 3):
        (tmp_path / f"20200101T0000{number:02d}-abcdef").mkdir()
    for number in range(KEEP + 5):
        with Journal(tmp_path, f"20260101T0000{number:02d}-abcdef", begins=False):
            pass
    left = sorted(entry.name for entry in tmp_path.iterdir())
    idle = [name for name in left if (tmp_path / name / UNBEGUN).exists()]
    assert (len(left), len(idle)) == (2 * KEEP, KEEP)
    assert (left[0], idle[0]) == ("20200101T000003-abcdef", "20260101T000005-abcdef")


def test_no_secret_of_a_refused_run_is_recorded(site: Site) -> None:
    from kubeforge.operations.file import File
    from kubeforge.secret import Secret

    secret = b"c2VjcmV0IGJ5dGVz"
    site.world.task("once", lambda _: [File(path="/etc/key", content=Secret(secret), mode=0o600)])
    site.away("w2")
    run = site.attempt()
    assert json.loads((run.path / "result.json").read_text())["exit_code"] == 11
    assert all(secret not in file.read_bytes() for file in run.path.iterdir())
