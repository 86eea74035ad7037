"""The playbooks of snapshots as a run plans and walks them, on hosts in memory: who takes part, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.engine.run import Session
from kubeforge.operations.model import Entry, Queries
from kubeforge.resources import playbook
from kubeforge.spec.paths import ETCD_RESTORE
from kubeforge.tasks import control_plane, etcd, etcd_data, etcd_members, restore
from kubeforge.tasks.restoration import SNAPSHOT
from kubeforge.tasks.snapshot_fetch import SNAPSHOT_TO
from kubeforge.transport.base import ByteSocket, Remote
from tests.unit.tasks.memory_snapshots import Shelf

Make = Callable[..., Any]
RESTORE_PLAYS = (
    *("Bring the snapshot to every host of etcd", "Stop what writes", "Make all members anew", "Start etcd"),
    *("Start the control planes", "Start the workers' kubelets anew", "Wait for the nodes", "End the restore"),
    "Prove it",
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (etcd_members, etcd_data, restore):
        monkeypatch.setattr(module, "ETCD_DEADLINE", 3.0)
    monkeypatch.setattr(control_plane, "API_DEADLINE", 0.2)
    monkeypatch.setattr(control_plane, "_words", lambda _: ["the API server says nothing"])


@pytest.fixture(params=["stacked", "service"])
def shelf(request: pytest.FixtureRequest, site: Make) -> Shelf:
    if request.param == "stacked":
        return Shelf(site(control_planes=3, workers=1))
    return Shelf(site(etcd_hosts=3, workers=1), etcd.service, ("e1", "e2", "e3"))


class Connected:
    """Hosts in memory, as a session wants them."""

    def __init__(self, shelf: Shelf) -> None:
        self._hosts = shelf.site.hosts

    def remote(self, host: str) -> Remote:
        remote: Remote = self._hosts[host]
        return remote

    def open_stream(self, host: str, command: str) -> ByteSocket:
        raise AssertionError("no lock is held here")

    def release(self, host: str) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def session(shelf: Shelf, name: str, **variables: str) -> Iterator[Session]:
    sample = shelf.site.sample

    def reader(remote: Remote, reads: Queries, waits: Callable[[str], None]) -> Any:
        facts = replace(sample.facts[remote.host], hostname=remote.host)
        return facts, remote.observe(reads or Queries(stats=("/",)))

    with Session(
        inventory=sample.inventory,
        playbook=playbook(name),
        registry=tasks.load(),
        spec=sample.spec,
        remotes=Connected(shelf),
        variables=variables,
        reader=reader,
        exclusive=False,
        record=False,
    ) as one:
        yield one


def test_save(shelf: Shelf, tmp_path: Path) -> None:
    with session(shelf, "etcd-snapshot-save", **{SNAPSHOT_TO: str(tmp_path / "out")}) as run:
        plan = run.plan()
        assert [(step.host, step.step) for step in plan.steps] == [
            (shelf.names[0], "etcd.snapshot"),
            (shelf.names[0], "etcd.snapshot_fetch"),
        ]
        assert shelf.number == 0
        result = run.apply(plan)
    assert result.exit_code == 0, result.failures
    assert shelf.number == 1
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_restore_stops_where_the_api_does_not_come_back_and_is_gone_on_with(shelf: Shelf) -> None:
    """What is behind the gate is not begun, and the note says that the restore is not over."""
    snapshot = shelf.take(shelf.names[0])
    shelf.etcd.lose(*shelf.names)
    with session(shelf, "etcd-snapshot-restore", **{SNAPSHOT: snapshot.name}) as run:
        plan = run.plan()
        assert plan.failures == ()
        assert list(dict.fromkeys(step.play for step in plan.steps)) == list(RESTORE_PLAYS)
        assert shelf.made == []
        result = run.apply(plan)
    assert {failure.step for failure in result.failures} == {"control_plane.ready"}
    assert [host for host, _, _ in sorted(shelf.made)] == list(shelf.names)
    assert len({mark for _, mark, _ in shelf.made}) == 1
    assert shelf.etcd.serves()
    assert all(shelf.site.hosts[name].state.paths.get(ETCD_RESTORE) for name in shelf.names)
    with session(shelf, "etcd-snapshot-restore", **{SNAPSHOT: snapshot.name}) as run:
        plan = run.plan()
        assert "goes on with a restore that was cut off" in plan.steps[0].changes[0].why
        run.apply(plan)
    assert len(shelf.made) == 3, "what was made is left alone"
    assert shelf.etcd.serves()


def test_a_restore_that_is_refused_touches_nothing_and_is_said_once(shelf: Shelf) -> None:
    snapshot = shelf.take(shelf.names[0], cluster="other")
    with session(shelf, "etcd-snapshot-restore", **{SNAPSHOT: snapshot.name}) as run:
        plan = run.plan()
        assert run.blocked(plan)
        assert [(failure.host, failure.step) for failure in plan.failures] == [(shelf.names[0], "etcd.restore")]
    assert not any(isinstance(host.state.paths.get(ETCD_RESTORE), Entry) for host in shelf.site.hosts.values())


def test_defrag(shelf: Shelf) -> None:
    with session(shelf, "etcd-defrag") as run:
        assert not run.plan()
    shelf.states[shelf.names[2]] = {"dbSize": 9 << 20, "dbSizeInUse": 1 << 20, "dbSizeQuota": 2 << 30}
    with session(shelf, "etcd-defrag") as run:
        (step,) = run.plan().steps
    assert [change.title for change in step.changes] == [f"etcd.defrag {shelf.names[2]}"]
