"""What etcd's tasks ask for: founding, joining, refusing; on control planes and on hosts of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.engine.model import Context
from kubeforge.errors import ConnectionFailed, QuorumLost, UnfitHost
from kubeforge.operations.command import Command
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Observation
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import ETCD_DATA, ETCD_MEMBER, ETCD_UNIT, ETCD_WAL, MANIFESTS, PKI, STATE
from kubeforge.tasks import etcd, pki, reset
from kubeforge.tasks.etcd_members import FounderTurn, MemberJoins, MemberServes
from kubeforge.transport.memory import RUNNING

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}
DATA = Observation(paths={ETCD_WAL: Entry(0o040700)})
MANIFEST = f"{MANIFESTS}/etcd.yaml"


def titles(items: Any) -> list[str]:
    return [item.title for item in items]


def kinds(items: Any) -> list[type]:
    return [type(item) for item in items]


def test_founded_once(site: Make) -> None:
    made = site()
    told = made.apply("cp1", etcd.member)
    assert "command found the etcd member cp1" in told
    assert f"directory {STATE}" not in told, "it is there before any task, and a plan that says otherwise is not true"
    made.begin()
    assert made.changes("cp1", etcd.member) == []
    manifest = made.hosts["cp1"].file(MANIFEST).decode()
    assert "--initial-cluster-state=existing" in manifest
    assert "new" not in manifest


@pytest.mark.parametrize(
    ("size", "task", "names"),
    [
        ({"control_planes": 3}, etcd.member, ("cp1", "cp2", "cp3")),
        ({"etcd_hosts": 3}, etcd.service, ("e1", "e2", "e3")),
    ],
)
def test_founded_together(site: Make, size: dict[str, int], task: Any, names: tuple[str, ...]) -> None:
    made = site(workers=1, **size)
    urls = {name: made.sample.inventory.hosts[name].address for name in names}
    members = ",".join(f"{name}=https://{address}:2380" for name, address in urls.items())
    for name in names:
        (command,) = [one for one in made.operations(name, task) if isinstance(one, Command) and one.creates]
        assert members in command.argv
        assert command.argv[command.argv.index("--name") + 1] == name
    assert made.ask("w1", task) == []


def test_founders_on_control_planes_wait_for_the_one_before(site: Make) -> None:
    """Started at once, each waits seven seconds for every other one (tests/integration/etcd)."""
    made = site(control_planes=3, workers=0)
    turns = {name: [one for one in made.ask(name, etcd.member) if isinstance(one, FounderTurn)] for name in made.hosts}
    assert turns["cp1"] == []
    assert [one.after for name in ("cp2", "cp3") for one in turns[name]] == ["cp1", "cp2"]
    listed = made.ask("cp2", etcd.member)
    assert titles(listed).index("command found the etcd member cp2") < titles(listed).index("etcd.turn")
    assert titles(listed)[-1] == f"file {MANIFEST}", "its pod comes when its turn has come"


def test_services_need_no_turn(site: Make) -> None:
    """Their play is walked host by host, and each must live before the next begins."""
    asked = site(etcd_hosts=3).ask("e2", etcd.service)
    assert FounderTurn not in kinds(asked)
    assert isinstance(asked[-1], MemberServes)
    assert asked[-1].alone


def test_where_it_runs_decides_which_task_has_something_to_do(site: Make) -> None:
    stacked, apart = site(), site(etcd_hosts=1)
    assert stacked.ask("cp1", etcd.service) == []
    assert apart.ask("cp1", etcd.member) == apart.ask("e1", etcd.member) == []
    assert kinds(stacked.ask("cp1", etcd.ready)) == kinds(apart.ask("e1", etcd.ready)) == [MemberServes]
    assert apart.ask("cp1", etcd.ready) == []


def test_a_service_has_its_own_user_and_starts_with_data_only(site: Make) -> None:
    made = site(etcd_hosts=1)
    assert titles(made.ask("e1", etcd.install)) == [
        "user etcd",
        "directory /usr/local/bin",
        *(f"artifact /usr/local/bin/{name}" for name in ("etcd", "etcdctl", "etcdutl")),
    ]
    listed = made.ask("e1", etcd.service)
    assert next(one for one in listed if one.title == f"directory {ETCD_DATA}").owner == "etcd"
    (command,) = [one for one in listed if isinstance(one, Command) and one.creates]
    assert command.argv[7] == "etcd", "the restored data are given to it"
    (unit,) = [one for one in listed if isinstance(one, Unit) and one.state == "running"]
    assert f"file {ETCD_UNIT}" in unit.listens
    (file,) = [one for one in listed if isinstance(one, File) and one.path == ETCD_UNIT]
    assert isinstance(file.content, bytes)
    assert f"ConditionPathExists={ETCD_WAL}\n" in file.content.decode()
    assert "User=etcd\n" in file.content.decode()


def test_tools_on_a_control_plane(site: Make) -> None:
    told = titles(site().ask("cp1", etcd.install))
    assert told[1:] == [f"artifact /usr/local/bin/{name}" for name in ("etcd", "etcdctl", "etcdutl")]
    assert site().ask("w1", etcd.install) == []


def test_certificates_of_a_host_of_etcd(site: Make) -> None:
    made = site(etcd_hosts=1, **ECDSA)
    assert made.ask("cp1", pki.etcd) == made.ask("e1", pki.control_plane) == []
    on_member = {one.path: one for one in made.operations("e1", pki.etcd) if isinstance(one, File)}
    assert {path.removeprefix(PKI) for path in on_member if path.endswith(".key")} == {
        "/etcd/ca.key",
        "/etcd/server.key",
        "/etcd/peer.key",
        "/etcd/healthcheck-client.key",
    }
    owners = {path.removeprefix(f"{PKI}/etcd/"): one.owner for path, one in on_member.items()}
    assert [name for name, who in owners.items() if who == "etcd"] == ["server.key", "peer.key"]
    on_control_plane = {one.path for one in made.operations("cp1", pki.control_plane) if isinstance(one, File)}
    assert f"{PKI}/etcd/ca.crt" in on_control_plane
    assert f"{PKI}/apiserver-etcd-client.key" in on_control_plane
    assert f"{PKI}/etcd/ca.key" not in on_control_plane
    made.apply("e1", pki.etcd)
    made.begin()
    made.apply("cp1", pki.control_plane)
    made.begin()
    assert made.changes("e1", pki.etcd) == made.changes("cp1", pki.control_plane) == []


@pytest.mark.parametrize(
    ("size", "task", "one", "other"),
    [({"control_planes": 2}, etcd.member, "cp1", "cp2"), ({"etcd_hosts": 2}, etcd.service, "e2", "e1")],
)
def test_nothing_is_founded_beside_data(site: Make, size: dict[str, int], task: Any, one: str, other: str) -> None:
    made = site(**size)
    made.hosts[one].overlay(DATA)
    asked = made.ask(other, task)
    assert MemberJoins in kinds(asked)
    assert not [each for each in asked if isinstance(each, Command) and each.creates]


@pytest.mark.parametrize("left", [ETCD_MEMBER, f"{ETCD_MEMBER}/snap/db"])
def test_what_a_refusing_etcd_leaves_behind_is_no_data(site: Make, left: str) -> None:
    made = site(control_planes=2, workers=0)
    made.hosts["cp1"].overlay(DATA)
    made.hosts["cp2"].put(left, b"")
    assert MemberJoins in kinds(made.ask("cp2", etcd.member))


@pytest.mark.parametrize(
    ("size", "task", "host", "sign"),
    [
        ({}, etcd.member, "cp1", MANIFEST),
        ({"control_planes": 3}, etcd.member, "cp3", MANIFEST),
        ({"etcd_hosts": 3}, etcd.service, "e3", ETCD_UNIT),
    ],
)
def test_a_founded_cluster_without_any_data_is_not_founded_again(
    site: Make, size: dict[str, int], task: Any, host: str, sign: str
) -> None:
    made = site(**size)
    made.hosts[host].put(sign, b"x")
    with pytest.raises(UnfitHost, match=f"{host} has {sign}.*no member of etcd has its data any more"):
        made.ask(host, task)


def test_members_do_not_move_by_a_change_of_the_spec(site: Make) -> None:
    apart = site(etcd_hosts=1)
    apart.hosts["cp1"].overlay(DATA)
    with pytest.raises(UnfitHost, match=r"etcd's data are on cp1.*cannot be moved"):
        apart.ask("e1", etcd.service)
    stacked = site()
    stacked.hosts["cp1"].put(f"{MANIFESTS}/kube-apiserver.yaml", b"of a cluster whose etcd was elsewhere")
    with pytest.raises(UnfitHost, match="no member of etcd has its data"):
        stacked.ask("cp1", etcd.member)


class Unreachable(dict[str, Observation]):
    """Observations of hosts, some of which cannot be asked."""

    def __init__(self, known: Any, gone: set[str]) -> None:
        super().__init__({name: known[name] for name in known if name not in gone})

    def __missing__(self, name: str) -> Observation:
        raise ConnectionFailed("no answer within 2 s", host=name)


def without(made: Any, host: str, *gone: str) -> Context:
    context: Context = made.context(host, etcd.quorum)
    return made.context(host, etcd.quorum, seen=Unreachable(context.seen, set(gone)))  # type: ignore[no-any-return]


def test_most_members_out_of_reach(site: Make) -> None:
    made = site(control_planes=3, workers=0)
    for host in made.hosts.values():
        host.overlay(DATA)
    assert list(etcd.quorum(without(made, "cp1", "cp3"))) == []
    with pytest.raises(QuorumLost, match="cp2 cannot be asked; cp3 cannot be asked") as raised:
        list(etcd.quorum(without(made, "cp1", "cp2", "cp3")))
    assert raised.value.remedy == (
        "bring cp2 and cp3 back; where that cannot be: kubeforge etcd recover --from cp1, then kubeforge apply"
    )


def test_a_cluster_to_be_founded_has_no_quorum_to_lose(site: Make) -> None:
    assert list(etcd.quorum(without(site(control_planes=3), "cp1", "cp2", "cp3"))) == []


def test_nothing_is_concluded_from_a_host_that_does_not_answer(site: Make) -> None:
    """The data may be there."""
    made = site(control_planes=2, workers=0)
    with pytest.raises(ConnectionFailed):
        list(etcd.member(without(made, "cp1", "cp2")))


def test_reset_stops_the_service(site: Make) -> None:
    made = site(etcd_hosts=1)
    made.apply("e1", etcd.service)
    made.hosts["e1"].overlay(Observation(units={"etcd.service": RUNNING}))
    assert titles(made.changes("e1", reset.stop))[-1] == "unit etcd.service"
