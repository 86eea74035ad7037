"""Inventories of runs that change who is in the cluster: roles as they will be, and the dead out of reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.membership import (
    JOINING,
    LEAVING,
    REMADE,
    STAYING,
    departing,
    with_joining,
    with_leaving,
    without,
)
from kubeforge.inventory.model import ETCD, WORKERS, Inventory

Make = Callable[..., Any]


def parts(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    return {name: inventory.groups[name] for name in (JOINING, LEAVING, STAYING, REMADE)}


def planes(inventory: Inventory) -> list[str]:
    return [host.name for host in inventory.control_planes]


def test_a_worker_joins_and_nobody_is_remade(sample: Make) -> None:
    written = sample(control_planes=1, workers=3).inventory
    made = with_joining(written, ["w3"], known=["cp1", "w1", "w2"])
    assert parts(made) == {JOINING: ("w3",), LEAVING: (), STAYING: ("cp1", "w1", "w2"), REMADE: ()}
    assert made.lock_order == ("cp1",)
    assert made.groups[WORKERS] == ("w1", "w2", "w3")


def test_who_joins_some_other_day_takes_no_part(sample: Make) -> None:
    written = sample(control_planes=2, workers=3).inventory
    made = with_joining(written, ["w2"], known=["cp1", "w1"])
    assert list(made.hosts) == ["cp1", "w1", "w2"]
    assert planes(made) == ["cp1"]
    assert parts(made)[STAYING] == ("cp1", "w1")


def test_a_control_plane_joins_and_all_others_are_remade(sample: Make) -> None:
    written = sample(control_planes=3, workers=1).inventory
    made = with_joining(written, ["cp1"], known=["cp2", "cp3", "w1"])
    assert parts(made)[REMADE] == ("cp2", "cp3", "w1")
    assert planes(made) == ["cp1", "cp2", "cp3"], "it is the first again"
    assert made.lock_order == ("cp2", "cp3", "cp1"), "but others look for the lock where it was"


def test_hosts_of_etcd_and_balancers_are_known_to_others(sample: Make) -> None:
    written = sample(control_planes=1, workers=1, etcd_hosts=3, load_balancers=2).inventory
    known = list(written.hosts)
    for name in ("e3", "lb2"):
        others = [one for one in known if one != name]
        assert set(with_joining(written, [name], known=others).groups[REMADE]) == set(others)
        assert set(with_leaving(written, [name], known=known).groups[REMADE]) == set(others)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["w9"], "no host is called 'w9'"),
        (["cp1", "cp2"], "cp1, cp2 cannot join: no other control plane is there"),
    ],
)
def test_who_cannot_join(sample: Make, names: list[str], said: str) -> None:
    written = sample(control_planes=2, workers=2).inventory
    with pytest.raises(InputError) as caught:
        with_joining(written, names, known=["w1", "w2"])
    assert said in "\n".join(caught.value.evidence)


def test_all_wrong_names_are_told_at_once(sample: Make) -> None:
    with pytest.raises(InputError) as caught:
        with_joining(sample().inventory, ["w8", "w9"], known=[])
    assert len(caught.value.problems) == 2


def test_who_leaves_has_no_role_and_can_be_entered(sample: Make) -> None:
    written = sample(control_planes=3, workers=2).inventory
    made = with_leaving(written, ["cp1", "w2"], known=list(written.hosts))
    assert parts(made) == {
        JOINING: (),
        LEAVING: ("cp1", "w2"),
        STAYING: ("cp2", "cp3", "w1"),
        REMADE: ("cp2", "cp3", "w1"),
    }
    assert made.hosts["cp1"].connection == written.hosts["cp1"].connection
    assert not made.hosts["cp1"].is_node
    assert planes(made) == [host.name for host in made.etcd_members] == ["cp2", "cp3"]
    assert [host.name for host in made.cluster] == ["cp2", "cp3", "w1"]
    assert made.lock_order == ("cp1", "cp2", "cp3"), "where another run looks for it"
    assert [host.name for host in departing(made)] == ["cp1", "w2"]


def test_who_is_dead_is_no_host_at_all(sample: Make) -> None:
    written = sample(control_planes=3, workers=2).inventory
    made = with_leaving(written, ["cp1", "w2"], dead=True, known=list(written.hosts))
    assert set(made.hosts) == {"cp2", "cp3", "w1"}
    assert made.groups["cp1"] == (), "cluster.yml may go on to speak of it"
    assert not [name for listed in made.groups.values() for name in listed if name in ("cp1", "w2")]
    assert made.lock_order == ("cp2", "cp3")
    assert [host.address for host in departing(made)] == ["192.0.2.11", "192.0.2.22"]
    assert parts(made)[REMADE] == ("cp2", "cp3", "w1")


def test_only_workers_leave_and_nobody_is_remade(sample: Make) -> None:
    written = sample(control_planes=3, workers=2).inventory
    for dead in (False, True):
        assert with_leaving(written, ["w1", "w2"], dead=dead, known=list(written.hosts)).groups[REMADE] == ()


def test_a_dead_host_need_not_be_written_any_more(sample: Make) -> None:
    written = sample(control_planes=3, workers=1).inventory
    made = with_leaving(written, ["cp9"], dead=True, known=list(written.hosts))
    assert [host.name for host in made.gone] == ["cp9"]
    assert parts(made)[REMADE], "nobody knows what it was"
    with pytest.raises(InputError, match="1 problem") as caught:
        with_leaving(written, ["cp9"], known=list(written.hosts))
    assert "--dead" in str(caught.value.remedy)


def test_the_last_of_a_kind_stays(sample: Make) -> None:
    one = sample(control_planes=1, workers=1).inventory
    with pytest.raises(InputError) as caught:
        with_leaving(one, ["cp1"], known=list(one.hosts))
    assert "no control plane would be left" in "\n".join(caught.value.evidence)
    apart = sample(control_planes=1, workers=0, etcd_hosts=1).inventory
    with pytest.raises(InputError) as caught:
        with_leaving(apart, ["e1"], dead=True, known=list(apart.hosts))
    assert f"no member of etcd would be left in group {ETCD}" in "\n".join(caught.value.evidence)


def test_without_forgets_hosts_everywhere(sample: Make) -> None:
    made = without(sample(control_planes=2).inventory, ["cp1"])
    assert "cp1" not in made.hosts
    assert "cp1" not in made.groups["all"]
    assert planes(made) == ["cp2"]
