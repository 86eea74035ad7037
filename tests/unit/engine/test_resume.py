"""Runs that are killed, and gone on with: the same end, and no command without a guard twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.events import Event
from kubeforge.engine.model import Action, ActionContext
from kubeforge.engine.records import RunRecord, recorded
from kubeforge.engine.resume import GoingOn, chosen, unfinished_hosts
from kubeforge.errors import InputError
from kubeforge.operations.command import Command
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Verb
from kubeforge.operations.unit import Unit
from kubeforge.transport.memory import RUNNING

BOOK = """
- play: First
  hosts: all
  tasks: [once.a, wait.here, once.b]
- play: Second
  hosts: all
  tasks: [once.c]
"""
EVENTS = 60
"""That a whole run of BOOK records."""

ONCE = ["command a", "command b", "command c", "reboot"]


class Killed(BaseException):
    """SIGKILL: nothing more is written, nothing more is sent."""


@dataclass
class Once(Action):
    """An action that only the record tells of."""

    log: list[str]
    title: str = "reboot"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        return [Change(title=self.title, verb=Verb.RUN, why="is asked for", every_run=True)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        self.log.append(run.remote.host)
        return self.plan(run)


@dataclass
class Site:
    """A world whose runs are recorded, killed and gone on with."""

    world: Any
    folder: Path
    waited: list[str] = field(default_factory=list)
    rebooted: list[str] = field(default_factory=list)

    def run(self, *sinks: Callable[[Event], None], resume: GoingOn | None = None, **more: Any) -> Any:
        with self.world.session(BOOK, record=True, forks=1, resume=resume, **more) as session:
            plan = session.plan()
            for sink in sinks:
                session.events.add(sink)
            return session.apply(plan)

    def killed(self, *sinks: Callable[[Event], None], **more: Any) -> RunRecord:
        """Run until a sink or a host kills it; what a dead process could not write is taken away."""
        with pytest.raises(Killed):
            self.run(*sinks, **more)
        path = self.newest.path
        (path / "result.json").unlink(missing_ok=True)
        return self.newest

    @property
    def newest(self) -> RunRecord:
        return recorded(self.folder)[0]

    def done(self, host: str) -> Counter[str]:
        counted = Counter(self.world.hosts[host].acted)
        counted["reboot"] = self.rebooted.count(host)
        return counted

    def resumed(self, doubtful: str | None = None, **more: Any) -> Any:
        return self.run(resume=GoingOn(chosen(self.folder, "last", "playbook"), doubtful), **more)

    def assert_whole(self) -> None:
        for name, host in self.world.hosts.items():
            counted = self.done(name)
            assert {title: counted[title] for title in ONCE} == dict.fromkeys(ONCE, 1), name
            assert host.file("/etc/a") == host.file("/etc/c") == b"x"


@pytest.fixture
def site(make: Any, wait: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    numbers = iter(range(1, 10_000))
    monkeypatch.setattr("kubeforge.engine.run.secrets.token_hex", lambda _: f"{next(numbers):06x}")
    monkeypatch.setattr("kubeforge.engine.run.time.strftime", lambda *_: "20261122T200000")
    world = make("w1", "w2")
    made = Site(world, tmp_path / "runs" / "default")

    def once(letter: str) -> Callable[..., Any]:
        def task(_context: Any) -> Any:
            yield Command(argv=(letter,))
            yield File(path=f"/etc/{letter}", content=b"x")

        return task

    for letter in "abc":
        world.task(f"once.{letter}", once(letter))
    world.task("wait.here", lambda _: [wait("wait", made.waited), Once(made.rebooted)])
    return made


def at(number: int) -> Callable[[Event], None]:
    """Return a sink that kills before the event of that number is recorded."""
    seen = iter(range(10_000))

    def sink(_: Event) -> None:
        if next(seen) >= number:
            raise Killed

    return sink


def first(site: Site, number: int) -> bool:
    """Run killed at an event; False: it had ended before. The killing sink comes before the journal."""
    world = site.world
    kill = at(number)
    try:
        with world.session(BOOK, record=True, forks=1) as session:
            plan = session.plan()
            session.events.add(kill)
            session.apply(plan)
    except Killed:
        (site.newest.path / "result.json").unlink(missing_ok=True)
        return True
    return False


@pytest.mark.parametrize("number", range(EVENTS))
def test_killed_before_any_event(site: Site, number: int) -> None:
    assert first(site, number)
    doubtful = site.done("w1")["reboot"] + site.done("w2")["reboot"]
    on_reboot = _open_action(site.newest)
    if on_reboot:  # only the one who looks at the host knows
        assert site.resumed().failures
        done = site.rebooted.count(on_reboot) == 1
        result = site.resumed("skip" if done else "redo")
    else:
        result = site.resumed() if site.newest.plan else site.run()
    assert (result.exit_code, result.remaining) == (0, ())
    assert doubtful <= 2
    site.assert_whole()


def test_there_is_no_event_more(site: Site) -> None:
    assert not first(site, EVENTS)
    site.assert_whole()


def _open_action(run: RunRecord) -> str | None:
    return next((step.host for step in run.steps if step.step == "reboot" and step.ended is None), None)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(6))
def test_killed_around_any_act(site: Site, number: int, *, after: bool) -> None:
    acts = iter(range(100))
    for host in site.world.hosts.values():
        real = host.act

        def act(*arguments: Any, real: Any = real, **options: Any) -> Any:
            is_last = next(acts) == number
            if is_last and not after:
                raise Killed
            results = real(*arguments, **options)
            if is_last:
                raise Killed
            return results

        host.act = act
    site.killed()
    result = site.resumed()
    assert (result.exit_code, result.remaining) == (0, ())
    site.assert_whole()
    assert sorted(set(site.waited)) == ["w1 wait", "w2 wait"]


def test_killed_again_and_again(site: Site) -> None:
    """Each run gets two acts further than the one before; the chain of records knows all."""
    for _ in range(20):
        acts = iter(range(100))
        for host in site.world.hosts.values():
            host.before_act = lambda acts=acts: _kill(next(acts) == 1)
        resume = GoingOn(site.newest) if site.folder.exists() else None
        try:
            result = site.run(resume=resume)
        except Killed:
            (site.newest.path / "result.json").unlink(missing_ok=True)
            continue
        break
    assert (result.exit_code, result.remaining) == (0, ())
    assert site.newest.resumed["run"]
    site.assert_whole()


def _kill(now: bool) -> None:
    if now:
        raise Killed


def test_a_host_that_dies_within_a_command(site: Site) -> None:
    host = site.world.hosts["w1"]
    host.reboot_at = 0
    assert site.run().failures[0].error == "ConnectionLost"
    refused = site.resumed()
    assert not refused.done
    assert "nothing tells how far it came" in refused.failures[0].cause
    assert refused.failures[0].host == "w1"
    # the refused run is recorded too, and what was open is open still
    assert site.resumed().failures
    assert site.resumed("redo").exit_code == 0
    site.assert_whole()


def test_what_is_doubtful_may_be_left(site: Site) -> None:
    site.world.hosts["w1"].reboot_at = 0
    site.run()
    assert site.resumed("skip").exit_code == 0
    assert site.done("w1")["command a"] == 0
    assert site.done("w2")["command a"] == 1


def test_a_failed_command_is_done_again(site: Site) -> None:
    host = site.world.hosts["w1"]
    host.fail["command b"] = 3
    assert site.run().exit_code == 13
    assert unfinished_hosts(site.newest) == ("w1", "w2")
    host.fail.clear()
    assert site.resumed().exit_code == 0
    site.assert_whole()


def test_only_those_that_failed(site: Site) -> None:
    site.world.hosts["w2"].fail["command c"] = 3
    site.run()
    site.world.hosts["w2"].fail.clear()
    hosts = unfinished_hosts(site.newest)
    assert hosts == ("w2",)
    before = list(site.world.hosts["w1"].calls)
    assert site.resumed(within=hosts).exit_code == 0
    assert site.world.hosts["w1"].calls == before
    site.assert_whole()


def test_a_listener_hears_what_an_earlier_run_changed(site: Site) -> None:
    def listen(_context: Any) -> Any:
        yield Command(argv=("a",))

    def restart(_context: Any) -> Any:
        yield Unit(name="x.service", state="running", listens=("command a",))

    world = site.world
    world.task("once.a", listen)
    world.task("once.c", restart)
    for host in world.hosts.values():
        host.overlay(replace(host.state, units={"x.service": RUNNING}))
    world.hosts["w2"].fail["command b"] = 1
    site.run()
    assert site.done("w1")["unit x.service"] == 0
    world.hosts["w2"].fail.clear()
    assert site.resumed().exit_code == 0
    assert [site.done(name)["unit x.service"] for name in ("w1", "w2")] == [1, 1]


def test_a_listener_that_has_heard_is_not_restarted_again(site: Site) -> None:
    def served(_context: Any) -> Any:
        yield Command(argv=("a",))
        yield Unit(name="x.service", state="running", listens=("command a",))

    world = site.world
    world.task("once.a", served)
    for host in world.hosts.values():
        host.overlay(replace(host.state, units={"x.service": RUNNING}))
        host.fail["command c"] = 1
    site.run()
    for host in world.hosts.values():
        host.fail.clear()
    assert site.resumed().exit_code == 0
    assert [site.done(name)["unit x.service"] for name in ("w1", "w2")] == [1, 1]


def test_an_act_that_is_sent_twice_does_nothing_the_second_time(site: Site) -> None:
    """As dask does where a worker dies: the note is guarded."""
    host = site.world.hosts["w1"]
    real = host.act
    host.act = lambda *arguments, **options: (real(*arguments, **options), real(*arguments, **options))[1]
    failures = site.run().failures
    assert failures[0].error == "ChangedUnderneath"
    assert site.done("w1")["command a"] == 1


def test_another_run_between_plan_and_act(site: Site) -> None:
    with site.world.session(BOOK, record=True, forks=1) as session:
        plan = session.plan()
        site.run()
        result = session.apply(plan)
    assert {failure.error for failure in result.failures} == {"ChangedUnderneath"}
    assert site.done("w1")["command a"] == 1


def test_runs_of_one_second(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names do not say which came first; the record does."""
    numbers = iter(range(900, 0, -1))
    monkeypatch.setattr("kubeforge.engine.run.secrets.token_hex", lambda _: f"{next(numbers):06x}")
    host = site.world.hosts["w1"]
    host.fail["command b"] = 1
    site.run()
    one = site.newest
    host.fail = {"command c": 1}
    site.resumed()
    assert site.newest.run_id < one.run_id, "its name says that it came before"
    with pytest.raises(InputError, match="already"):
        chosen(site.folder, one.run_id, "playbook")
    host.fail.clear()
    assert site.resumed().exit_code == 0
    site.assert_whole()


def test_nothing_to_go_on_with(site: Site) -> None:
    with pytest.raises(InputError, match="no such run"):
        chosen(site.folder, "last", "playbook")
    site.run()
    with pytest.raises(InputError, match="ended well"):
        chosen(site.folder, "last", "playbook")
    with pytest.raises(InputError, match="is of playbook"):
        chosen(site.folder, site.newest.run_id, "reset")
    with pytest.raises(InputError, match="no host failed"):
        unfinished_hosts(site.newest)


def test_bulk_cuts_plays(site: Site) -> None:
    from kubeforge.engine.playbook import Portion

    with site.world.session(BOOK, bulk=Portion(1)) as session:
        hosts = ["w1", "w2"]
        cut = [play.batches(hosts, everyone=hosts) for play in session.who.playbook.plays]
    assert cut == [[("w1",), ("w2",)]] * 2
