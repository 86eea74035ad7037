"""Whether a rollback may be is asked of all hosts, and what speaks against it is said with the other way. In memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.cluster.upgrade.etcd_versions import EtcdVersions
from kubeforge.errors import ApiUnavailable, ConnectionFailed, UnfitHost
from kubeforge.operations.model import Observation
from kubeforge.spec.going_back import Way
from kubeforge.spec.paths import UPGRADE, UPGRADE_FINISHED, UPGRADE_SERVED
from kubeforge.spec.upgrading import read_record
from kubeforge.tasks import parking, rollback, rollback_check, runtime, upgrade_look
from kubeforge.tasks.rollback_check import WAY, MayGoBack, check
from kubeforge.tasks.upgrade_look import before_upgrade, versions_running
from kubeforge.tasks.upgrade_record import WHOLE, snapshot_key
from tests.unit.tasks.rolling_site import Make, talk
from tests.unit.tasks.upgrade_site import NEW, OLD, Upgrading


class World:
    """What the outside says: etcd's version, what is served and stored, which snapshots are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cluster: Upgrading) -> None:
        self.etcd = EtcdVersions(server="3.6.16", cluster="3.6")
        self.served = {"v1/pods"}
        self.holds: tuple[str, ...] = ()
        self.keys: list[str] = []
        monkeypatch.setattr(rollback_check, "etcd_versions", lambda _remote: self.etcd)
        monkeypatch.setattr(rollback_check, "api_of", lambda _run: None)
        monkeypatch.setattr(rollback_check, "served", lambda _api: self.served)
        monkeypatch.setattr(rollback_check, "holding", lambda _api, asked: tuple(sorted({*self.holds} & {*asked})))
        for module in (rollback_check, upgrade_look):
            monkeypatch.setattr(module, "kept_on", lambda *_: SimpleNamespace(all=self._kept()))
        self.cluster = cluster

    def _kept(self) -> list[Any]:
        return [SimpleNamespace(key=key, name=f"snapshot-{key}") for key in self.keys]

    def serves(self, *resources: str) -> None:
        """Write down what was served before."""
        begun = self.begun
        text = "".join(f"{line}\n" for line in (f"# upgrade of {begun}", *resources))
        self.cluster.made.hosts["cp1"].put(UPGRADE_SERVED, text.encode())

    @property
    def begun(self) -> int:
        record = read_record(self.cluster.made.hosts["cp1"].file(UPGRADE))
        assert record is not None
        return record.begun

    def plan(self, way: Way = Way.COMPONENTS) -> list[str]:
        """Plan the check; return what it said."""
        self.cluster.go(OLD)
        run = talk(self.cluster.made, "cp1")
        said: list[str] = []
        context = self.cluster.made.context("cp1", rollback.host_files)
        told = SimpleNamespace(
            context=context,
            remote=run.remote,
            remote_of=run.remote_of,
            remark=said.append,
            vault=context.vault,
            checkpoint=run.checkpoint,
        )
        assert MayGoBack(way=way).plan(told) == []
        return said


@pytest.fixture
def world(site: Make, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    cluster = Upgrading(site)
    cluster.upgrade(NEW, **{WHOLE: "yes"})
    made = World(monkeypatch, cluster)
    made.serves("v1/pods")
    return made


def test_one_minor_back_is_fine(world: World) -> None:
    assert world.plan() == []


def test_only_the_first_control_plane_decides(world: World) -> None:
    assert [item.title for item in world.cluster.ask("cp1", check)] == ["rollback.check"]
    assert world.cluster.ask("w1", check) == []
    (action,) = world.cluster.ask("cp1", check, **{WAY: "snapshot"})
    assert isinstance(action, MayGoBack)
    assert action.way is Way.SNAPSHOT


@pytest.mark.parametrize("kept", [True, False])
def test_objects_that_nobody_could_read_need_the_snapshot(world: World, kept: bool) -> None:
    world.served, world.holds = {"v1/pods", "v1/new"}, ("v1/new",)
    world.keys = [snapshot_key(world.begun)] if kept else ["upgrade 1"]
    with pytest.raises(UnfitHost, match="nothing was changed") as raised:
        world.plan()
    assert any("does not know: v1/new" in line for line in raised.value.evidence)
    told = "--from-snapshot" if kept else "kubeforge upgrade apply goes on"
    assert told in str(raised.value.remedy)
    if kept:
        assert world.plan(Way.SNAPSHOT) == []


def test_the_snapshot_is_not_taken_where_nothing_needs_it(world: World) -> None:
    world.keys = [snapshot_key(world.begun)]
    with pytest.raises(UnfitHost, match="no snapshot is needed") as raised:
        world.plan(Way.SNAPSHOT)
    assert raised.value.remedy == "kubeforge upgrade rollback, without --from-snapshot"


def test_what_is_not_known_needs_the_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_run: Any) -> Any:
        raise ApiUnavailable("nobody answers")

    monkeypatch.setattr(rollback_check, "api_of", silent)
    monkeypatch.setattr(rollback_check, "GATE_DEADLINE", 0.0)
    with pytest.raises(UnfitHost) as raised:
        world.plan()
    assert any("it is not known what the API served" in line for line in raised.value.evidence)


def test_an_api_server_on_its_way_up_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade that was killed while the only one was replaced."""
    answers = iter([ApiUnavailable("nobody answers"), None])

    def api_of(_run: Any) -> Any:
        error = next(answers)
        if error is not None:
            raise error

    monkeypatch.setattr(rollback_check, "api_of", api_of)
    assert world.plan() == []


def test_an_etcd_of_another_minor(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version before is read out of the manifest that lies in a generation."""
    monkeypatch.setattr(parking, "processes", lambda *_: ())
    cluster = Upgrading(site)
    cluster.upgrade("1.36.3")
    cluster.upgrade("1.37.0", **{WHOLE: "yes"})
    world = World(monkeypatch, cluster)
    world.serves("v1/pods")
    world.etcd = EtcdVersions(server="3.7.0", cluster="3.7")
    with pytest.raises(UnfitHost) as raised:
        world.plan()
    told = "\n".join(raised.value.evidence)
    assert "etcd's cluster version is 3.7 " in told
    assert "3.6.16 cannot join" in told
    assert "are 2 minors" in told


def test_runs_since_are_named(world: World) -> None:
    world.cluster.go(NEW)
    host = world.cluster.made.hosts["w1"]
    before = host.file("/etc/containerd/config.toml")
    host.put("/etc/containerd/config.toml", b"other")
    world.cluster.run("w1", runtime.roll, run_id="later")
    assert host.file("/etc/containerd/config.toml") == before
    assert world.plan() == ["what came after the upgrade is taken back on w1, too: later"]


def test_no_record_nothing_to_take_back(world: World) -> None:
    gone = dict.fromkeys((UPGRADE, UPGRADE_FINISHED))
    for name in world.cluster.names:
        world.cluster.made.hosts[name].overlay(Observation(paths=gone, hashes=gone))
    with pytest.raises(UnfitHost, match="cannot be taken back"):
        world.plan()


def test_before_there_is_a_run(world: World) -> None:
    world.keys = [snapshot_key(world.begun), "upgrade 1"]
    made = world.cluster.made
    inventory = made.sample.inventory
    assert before_upgrade(inventory, made.hosts.__getitem__) == (OLD, f"snapshot-upgrade {world.begun}")
    assert versions_running(inventory, made.hosts.__getitem__) == (NEW,)


def test_hosts_that_cannot_be_asked(site: Make) -> None:
    made = Upgrading(site, control_planes=3).made
    inventory = made.sample.inventory
    made.hosts["cp1"].unreachable = True
    assert versions_running(inventory, made.hosts.__getitem__) == (OLD, OLD)
    with pytest.raises(UnfitHost, match="no control plane remembers an upgrade"):
        before_upgrade(inventory, made.hosts.__getitem__)
    for host in made.hosts.values():
        host.unreachable = True
    for ask in (versions_running, before_upgrade):
        with pytest.raises(ConnectionFailed):
            ask(inventory, made.hosts.__getitem__)


def test_no_cluster_nothing_to_upgrade(site: Make) -> None:
    made = site()
    with pytest.raises(UnfitHost, match="nothing to upgrade"):
        versions_running(made.sample.inventory, made.hosts.__getitem__)
