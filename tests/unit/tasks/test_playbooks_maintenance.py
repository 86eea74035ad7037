"""The playbooks of maintenance: whom they take, in which batches, and that they name tasks there are."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.engine.playbook import SERIAL, Playbook, Portion
from kubeforge.engine.playbook_loader import load
from kubeforge.engine.roster import roster
from kubeforge.resources import playbook

NAMES = ("cordon", "drain", "uncordon", "patch", "restart", "exec")


def book(name: str) -> Playbook:
    return load(playbook(name), tasks.load())


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read(name: str) -> None:
    assert book(name).plays


@pytest.mark.parametrize("name", ["cordon", "drain", "uncordon"])
def test_the_hosts_of_nodes_are_not_asked(name: str, sample: Any) -> None:
    (play,) = book(name).plays
    assert not play.facts
    assert roster(book(name), sample(control_planes=3).inventory).hosts == (("cp1",),)


def test_who_is_patched_and_in_which_order(sample: Any) -> None:
    inventory = sample(control_planes=2, workers=2, etcd_hosts=1, load_balancers=1).inventory
    everyone, first, workers, last = roster(book("patch"), inventory).hosts
    assert set(everyone) == {"cp1", "cp2", "w1", "w2", "lb1", "e1"}
    assert set(first) == {"cp1", "cp2", "e1"}
    assert (workers, last) == (("w1", "w2"), ("lb1",))


def test_stacked_etcd_is_patched_once(sample: Any) -> None:
    _, first, workers, last = roster(book("patch"), sample(control_planes=3, workers=1).inventory).hosts
    assert (first, workers, last) == (("cp1", "cp2", "cp3"), ("w1",), ())


@pytest.mark.parametrize("name", ["patch", "restart", "exec"])
def test_serial_changes_what_is_left_to_it(name: str) -> None:
    sizes = (Portion(1), Portion(25, percent=True))
    before, after = book(name), book(name).batched(sizes)
    for was, play in zip(before.plays, after.plays, strict=True):
        assert play.serial == (sizes if SERIAL in was.tags else was.serial)
    assert any(SERIAL in play.tags for play in before.plays)
    assert before.batched(()) == before


@pytest.mark.parametrize("name", ["patch", "restart"])
def test_control_planes_go_one_by_one_whatever_is_asked(name: str, sample: Any) -> None:
    changed = book(name).batched((Portion(9),))
    inventory = sample(control_planes=3, workers=3).inventory
    for play, hosts in zip(changed.plays, roster(changed, inventory).hosts, strict=True):
        if "cp1" in hosts and play.name != "Look at every host before touching any":
            assert play.serial == (Portion(1),)


@pytest.mark.parametrize(("text", "portion"), [("3", Portion(3)), ("25%", Portion(25, percent=True))])
def test_portions(text: str, portion: Portion) -> None:
    assert Portion.of(text) == portion
