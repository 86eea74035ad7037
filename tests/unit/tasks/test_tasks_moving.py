"""Hosts whose addresses changed: who is recognised, and what is written at once. On hosts in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import Inventory
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.etcd_service import service_unit
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.file import File
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Entry, Observation
from kubeforge.operations.unit import Unit
from kubeforge.pki.kubeconfigs import kubelet as kubelet_conf
from kubeforge.spec.paths import (
    ETCD_UNIT,
    ETCD_WAL,
    KUBELET_CLIENT_CURRENT,
    KUBELET_CONF,
    KUBELET_FLAGS,
    MOVED_FROM,
    PKI,
)
from kubeforge.tasks import addresses, certs, control_plane, etcd, etcd_addresses, kubelet, living, moving, pki
from kubeforge.tasks.addresses import HostMoved
from kubeforge.tasks.etcd_addresses import PeersFollow, way
from kubeforge.tasks.etcd_members import MemberServes, MemberSpared
from kubeforge.tasks.kubelet import TokenPresent
from kubeforge.tasks.moving import Move
from tests.unit.tasks.rolling_site import APISERVER, ECDSA, titles

Make = Callable[..., Any]


def move(made: Any, **news: str) -> Any:
    """Give hosts other addresses in the inventory; what is on them stays."""
    sample, hosts = made.sample, made.sample.inventory.hosts
    changed = {
        name: replace(host, vars={**host.vars, "ip": news[name]}) if name in news else host
        for name, host in hosts.items()
    }
    made.sample = replace(sample, inventory=replace(sample.inventory, hosts=changed))
    assert isinstance(made.sample.inventory, Inventory)
    made.begin()
    return made


@pytest.fixture
def lived(living_site: Make) -> Make:
    """Return `make(…)`: a cluster that lives, with data of etcd on its control planes."""

    def make(**values: Any) -> Any:
        made = living_site(**values)
        for host in made.sample.inventory.control_planes:
            made.hosts[host.name].overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}))
        return made

    return make


def contents(items: list[Any]) -> dict[str, Any]:
    return {item.path: item.content for item in items if isinstance(item, File) and item.content is not None}


def moved_of(made: Any, host: str) -> Move | None:
    return moving.moved(made.context(host, addresses.moved))


def test_nobody_has_moved_where_the_addresses_are_the_same(lived: Make) -> None:
    made = lived(control_planes=3)
    assert [moved_of(made, host) for host in made.hosts] == [None] * len(made.hosts)
    for task in (addresses.moved, addresses.pods, addresses.settled, etcd_addresses.addresses, kubelet.resume):
        assert made.ask("cp2", task) == []


def test_a_control_plane_is_recognised_by_its_api_servers_manifest(lived: Make) -> None:
    made = move(lived(control_planes=3), cp2="192.0.2.99")
    assert str(moved_of(made, "cp2")) == "cp2 192.0.2.12 -> 192.0.2.99"
    assert moved_of(made, "cp1") is None
    (action,) = made.ask("cp2", addresses.moved)
    (change,) = action.plan(talking(made, "cp2"))
    assert change.title == "address"
    assert "192.0.2.12 -> 192.0.2.99; what follows: certificates" in change.why
    assert "etcd" in change.why
    assert action.plan(talking(made, "cp2", changed={"address"})) == [], "said once"


def talking(made: Any, host: str, *, changed: set[str] | None = None) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(
        context=made.context(host, addresses.moved), expected=Observation(changed=frozenset(changed or ()))
    )


def test_a_worker_is_recognised_by_its_flags(lived: Make) -> None:
    made = lived()
    made.hosts["w1"].put(KUBELET_FLAGS, b'KUBELET_KUBEADM_ARGS="--node-ip=192.0.2.44"\n')
    found = moved_of(made, "w1")
    assert found is not None
    assert found.old == "192.0.2.44"


def test_a_host_of_etcds_is_recognised_by_its_unit(site: Make) -> None:
    made = site(etcd_hosts=3, **ECDSA)
    host = made.sample.inventory.etcd_members[0]
    made.hosts[host.name].put(ETCD_UNIT, service_unit(made.sample.spec, host).encode())
    assert moved_of(made, host.name) is None
    found = moved_of(move(made, **{host.name: "2001:db8::7"}), host.name)
    assert found is not None
    assert (found.old, found.new) == (host.address, "2001:db8::7")


def test_the_note_outlives_the_files(lived: Make) -> None:
    """A run that was cut off has written all files; what etcd knows is still to follow."""
    made = lived()
    made.hosts["cp1"].put(MOVED_FROM, b"192.0.2.77\n")
    assert str(moved_of(made, "cp1")) == "cp1 192.0.2.77 -> 192.0.2.11"
    assert made.ask("cp1", addresses.moved) == [], "its control plane runs as it shall"
    assert titles(made.ask("cp1", addresses.settled)) == ["addresses.settled"]
    assert titles(made.ask("cp1", etcd_addresses.addresses)) == ["etcd.addresses"]


def test_all_of_a_moved_control_plane_is_written_at_once(lived: Make) -> None:
    made = move(lived(control_planes=3), cp2="192.0.2.99")
    files = contents(made.ask("cp2", pki.control_plane))
    assert {f"{PKI}/apiserver.crt", f"{PKI}/etcd/peer.crt", "/etc/kubernetes/scheduler.conf"} <= set(files)
    assert b"192.0.2.99" in files["/etc/kubernetes/scheduler.conf"].reveal()
    assert b"--advertise-address=192.0.2.99" in contents(made.ask("cp2", control_plane.server))[APISERVER]
    assert b"https://192.0.2.99:2380" in contents(made.ask("cp2", etcd.member))[manifest_path(ETCD)]
    for task in (pki.roll, etcd.roll, control_plane.roll, kubelet.roll):
        assert made.ask("cp2", task) == [], "nothing is left for its turn"


def test_the_others_are_not_touched(lived: Make) -> None:
    made = move(lived(control_planes=3), cp2="192.0.2.99")
    assert living.lives(made.context("cp1", living_task()), "cp1")
    for task in (pki.roll, control_plane.roll):
        assert made.ask("cp3", task) == []


def living_task() -> Any:
    return control_plane.server


def test_its_kubelet_starts_last(lived: Make) -> None:
    made = move(lived(), cp1="192.0.2.99")
    assert made.ask("cp1", kubelet.run) == []
    (unit,) = made.ask("cp1", kubelet.resume)
    assert isinstance(unit, Unit)
    assert "address" in unit.listens
    files = [item for item in made.ask("cp1", kubelet.configure) if isinstance(item, File)]
    assert not [file for file in files if isinstance(file, KeptFile)], "nothing is set aside: the old is of no use"


def joined(made: Any, server: str) -> Any:
    """Make the worker one that has joined."""
    ca = made.hosts["cp1"].file(f"{PKI}/ca.crt")
    made.hosts["w1"].put(KUBELET_CONF, kubelet_conf(cluster="c", server=server, ca=ca, node="w1"))
    made.hosts["w1"].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o120777, target="x")}))
    return made


def test_a_worker_that_is_led_to_an_old_address_is_adrift(lived: Make) -> None:
    made = move(joined(lived(), "192.0.2.11:6443"), cp1="192.0.2.99")
    context = made.context("w1", kubelet.configure)
    assert moving.moved(context) is None
    assert moving.is_adrift(context)
    assert b"https://192.0.2.99:6443" in contents(made.ask("w1", kubelet.configure))[KUBELET_CONF]
    items = made.ask("w1", kubelet.join)
    assert not [item for item in items if isinstance(item, TokenPresent)], "it has its certificate"
    assert f"file {KUBELET_CONF}" in items[-1].listens


def test_a_worker_that_is_led_to_its_own_balancer_is_not(lived: Make) -> None:
    made = move(joined(lived(), "127.0.0.1:6443"), cp1="192.0.2.99")
    assert not moving.is_adrift(made.context("w1", kubelet.configure))


def test_external_members_do_not_wait_for_one_another(site: Make) -> None:
    made = site(etcd_hosts=3, **ECDSA)
    members = made.sample.inventory.etcd_members
    for host in members:
        made.hosts[host.name].put(ETCD_UNIT, service_unit(made.sample.spec, host).encode())
        made.hosts[host.name].overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}))
    waits = (MemberSpared, MemberServes)
    first = members[0].name
    assert [type(item) for item in made.ask(first, etcd.service) if isinstance(item, waits)] == list(waits)
    move(made, **{members[1].name: "192.0.2.201"})
    for host in members:
        assert not [item for item in made.ask(host.name, etcd.service) if isinstance(item, waits)]


def test_certificates_are_not_renewed_for_an_address_that_was(lived: Make) -> None:
    with pytest.raises(UnfitHost, match=r"its address is 192.0.2.99, and what runs there was made for 192.0.2.11"):
        move(lived(), cp1="192.0.2.99").ask("cp1", certs.look)


def some(*pairs: str) -> list[Move]:
    return [Move(host=f"cp{n}", old=pair.split(">")[0], new=pair.split(">")[1]) for n, pair in enumerate(pairs, 1)]


@pytest.mark.parametrize(
    ("pairs", "target", "lenders"),
    [
        (("a>x", "b>y"), "cp1", ("cp2",)),
        (("a>x", "b>y", "c>z"), "cp1", ("cp2",)),
        (("a>x", "b>y", "c>z", "d>u", "e>v"), "cp1", ("cp2", "cp3")),
        (("a>b", "b>y", "c>z"), "cp1", ("cp2",)),
        (("a>x", "b>a", "c>z"), "cp2", ("cp1",)),
        (("a>b", "b>c", "c>a"), "cp1", ("cp2",)),
        (("a>c", "b>a", "c>b"), "cp1", ("cp3",)),
    ],
)
def test_whose_old_address_is_borrowed_by_whom(pairs: tuple[str, ...], target: str, lenders: tuple[str, ...]) -> None:
    found, by = way(some(*pairs))
    assert (found.host, by) == (target, lenders)


def test_two_that_took_each_others_address_are_refused() -> None:
    with pytest.raises(UnfitHost, match="each other's addresses: cp1 a -> b, cp2 b -> a"):
        way(some("a>b", "b>a"))


def test_what_follows_is_planned_once_for_all_members(lived: Make) -> None:
    made = move(lived(control_planes=3), cp1="192.0.2.91", cp2="192.0.2.92", cp3="192.0.2.93")
    (action,) = made.ask("cp3", etcd_addresses.addresses)
    assert isinstance(action, PeersFollow)
    (change,) = action.plan(talking(made, "cp3"))
    assert change.why.startswith("peer URLs follow: cp1 192.0.2.11 -> 192.0.2.91, cp2")
    assert isinstance(made.ask("cp1", addresses.moved)[0], HostMoved)
