"""Whom the cluster has, and that who is dead is not asked: every host that is reached is written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from kubeforge.cluster import membership
from kubeforge.cluster.etcd import Member, etcdctl
from kubeforge.cluster.membership import Census, adding, census, is_of, removing, replacing
from kubeforge.errors import ApiUnavailable, ConnectionFailed, InputError, KubeforgeError
from kubeforge.inventory.membership import JOINING, LEAVING, STAYING
from kubeforge.inventory.model import Inventory
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost

Make = Callable[..., Any]
LIST = tuple(etcdctl("member", "list", "-w", "json"))


class Nodes:
    """An API that knows nodes, and asks nobody."""

    def __init__(self, names: Iterable[str], error: ApiUnavailable | None = None) -> None:
        self.names, self.error = list(names), error
        self.closed = False

    def objects(self, version: str, kind: str) -> list[dict[str, Any]]:
        assert (version, kind) == ("v1", "Node")
        if self.error is not None:
            raise self.error
        return [{"metadata": {"name": name}} for name in self.names]

    def close(self) -> None:
        self.closed = True


class World:
    """Hosts in memory, what the API and etcd say, and who was reached."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, inventory: Inventory, nodes: Iterable[str]) -> None:
        self.inventory = inventory
        self.api = Nodes(nodes)
        self.reached: list[str] = []
        self.silent: set[str] = set()
        self.members = [host.name for host in inventory.etcd_members]
        self.turns: list[Any] = []
        monkeypatch.setattr(membership, "connect", self._connect)

    def _connect(self, turns: Iterable[Callable[[], Any]]) -> Nodes:
        for turn in turns:  # a real client asks in turn; all count here
            try:
                turn()
            except ConnectionFailed:
                continue
        return self.api

    def connect_to(self, inventory: Inventory) -> Callable[[str], Any]:
        def remote(name: str) -> MemoryHost:
            assert name in inventory.hosts
            self.reached.append(name)
            if name in self.silent:
                raise ConnectionFailed("no route to host", host=name)
            rows = [
                {"ID": number, "name": one, "peerURLs": [f"https://{self.address(one)}:2380"]}
                for number, one in enumerate(self.members, 1)
            ]
            answer = Completed(0, json.dumps({"members": rows}).encode())
            return MemoryHost(name, commands={LIST: answer} if name in self.members else {})

        return remote

    def address(self, name: str) -> str:
        return self.inventory.hosts[name].address if name in self.inventory.hosts else "192.0.2.99"


@pytest.fixture
def world(sample: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(nodes: Iterable[str], **cluster: Any) -> World:
        return World(monkeypatch, sample(**cluster).inventory, nodes)

    return make


def test_who_is_on_one_side_only(world: Make) -> None:
    made = world(["cp1", "cp2", "w1", "w7"], control_planes=3, workers=2)
    made.members = ["cp1", "cp2", "cp8"]
    found = census(made.inventory, made.connect_to(made.inventory))
    assert found.known(made.inventory) == ("cp1", "cp2", "w1")
    assert found.missing_nodes(made.inventory) == ("cp3", "w2")
    assert found.missing_members(made.inventory) == ("cp3",)
    assert found.strange_nodes(made.inventory) == ("w7",)
    assert [one.name for one in found.strange_members(made.inventory)] == ["cp8"]
    assert made.api.closed


def test_a_member_of_etcd_is_in_the_cluster_and_so_is_a_balancer(world: Make) -> None:
    made = world(["cp1"], control_planes=1, workers=0, etcd_hosts=2, load_balancers=1)
    made.members = ["e1"]
    found = census(made.inventory, made.connect_to(made.inventory))
    assert found.known(made.inventory) == ("cp1", "e1", "lb1")


@pytest.mark.parametrize(("name", "url", "mine"), [("w1", "", True), ("", "21", True), ("w2", "21", False)])
def test_whose_a_member_is(sample: Make, name: str, url: str, mine: bool) -> None:
    """Once it has a name that says it: another machine may have got the address meanwhile."""
    host = sample().inventory.hosts["w1"]
    assert is_of(host, Member(id="1", name=name, peer_urls=(f"https://192.0.2.{url}:2380",))) is mine


def test_whichever_member_answers_is_asked(world: Make) -> None:
    made = world(["cp1", "cp2", "cp3"], control_planes=3, workers=0)
    made.silent = {"cp1"}
    found = census(made.inventory, made.connect_to(made.inventory))
    assert len(found.members) == 3


def test_without_an_api_nobody_comes_or_goes(world: Make) -> None:
    made = world([], control_planes=1)
    made.api.error = ApiUnavailable("connection refused")
    with pytest.raises(ApiUnavailable, match="connection refused") as caught:
        census(made.inventory, made.connect_to(made.inventory))
    assert "kubeforge status" in str(caught.value.remedy)
    assert made.api.closed


def test_without_any_member_nobody_does_either(world: Make) -> None:
    made = world(["cp1"], control_planes=1)
    made.silent = {"cp1"}
    with pytest.raises(KubeforgeError, match="no route"):
        census(made.inventory, made.connect_to(made.inventory))


def test_a_new_host_is_not_asked_who_there_is(world: Make) -> None:
    made = world(["cp2", "w1", "w2"], control_planes=2)
    taking = adding(["cp1"])(made.inventory, made.connect_to)
    assert "cp1" not in made.reached
    assert taking.groups[JOINING] == ("cp1",)
    assert taking.groups[STAYING] == ("cp2", "w1", "w2")


def test_without_names_all_join_that_the_cluster_has_not(world: Make) -> None:
    made = world(["cp1", "w1"], workers=3)
    assert adding([])(made.inventory, made.connect_to).groups[JOINING] == ("w2", "w3")


def test_where_nobody_is_new_nobody_joins(world: Make) -> None:
    made = world(["cp1", "w1", "w2"])
    assert adding([])(made.inventory, made.connect_to).groups[JOINING] == ()


def test_a_wrong_name_is_told_before_anybody_is_asked(world: Make) -> None:
    made = world(["cp1"])
    for change in (adding(["w9"]), removing(["w9"], dead=False), removing(["cp1"], dead=True)):
        with pytest.raises(InputError):
            change(made.inventory, made.connect_to)
    assert made.reached == []


@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_the_dead_are_never_reached(world: Make, name: str) -> None:
    made = world(["cp1", "cp2", "cp3", "w1", "w2"], control_planes=3)
    letting = removing([name], dead=True)(made.inventory, made.connect_to)
    assert name not in made.reached
    assert made.reached, "others were"
    assert name not in letting.hosts
    assert [host.name for host in letting.gone] == [name]


def test_the_living_may_be_asked(world: Make) -> None:
    made = world(["cp1", "cp2", "w1", "w2"], control_planes=2)
    letting = removing(["cp1"], dead=False)(made.inventory, made.connect_to)
    assert letting.groups[LEAVING] == ("cp1",)


@pytest.mark.parametrize(
    ("old", "new", "dead", "order"),
    [
        ("w1", "w2", False, ["node-add", "node-remove"]),
        ("w1", "w2", True, ["node-remove", "node-add"]),
        ("w1", "w1", False, ["node-remove", "node-add"]),
        ("w1", "w1", True, ["node-remove", "node-add"]),
    ],
)
def test_the_order_of_a_replacement(old: str, new: str, dead: bool, order: list[str]) -> None:
    assert [step.playbook for step in replacing(old, new, dead=dead)] == order


def test_a_machine_with_the_name_of_the_dead_is_entered_when_it_joins(world: Make) -> None:
    made = world(["cp1", "cp2", "cp3", "w1", "w2"], control_planes=3)
    goes, comes = replacing("cp1", "cp1", dead=True)
    assert "cp1" not in goes.change(made.inventory, made.connect_to).hosts
    made.api.names.remove("cp1")
    made.members.remove("cp1")
    joining = comes.change(made.inventory, made.connect_to)
    assert joining.groups[JOINING] == ("cp1",)
    assert "cp1" in joining.hosts
    assert "cp1" not in made.reached, "so far"


def test_who_is_dead_is_not_asked_either_when_the_other_joins(world: Make) -> None:
    """Its line is still there."""
    made = world(["cp2", "cp3", "w1", "w2"], control_planes=4)
    made.members = ["cp2", "cp3"]
    _, comes = replacing("cp1", "cp4", dead=True)
    joining = comes.change(made.inventory, made.connect_to)
    assert made.reached
    assert "cp1" not in made.reached
    assert "cp1" not in joining.hosts
    assert joining.groups[JOINING] == ("cp4",)


def test_nobody_goes_where_the_other_could_not_come(world: Make) -> None:
    made = world(["cp1", "cp2", "w1", "w2"], control_planes=2)
    goes, _ = replacing("w1", "w9", dead=True)
    with pytest.raises(InputError) as caught:
        goes.change(made.inventory, made.connect_to)
    assert "no host is called 'w9'" in "\n".join(caught.value.evidence)
    assert made.reached == []


def test_an_empty_cluster_knows_nobody(sample: Make) -> None:
    assert Census(nodes=frozenset()).known(sample().inventory) == ()
