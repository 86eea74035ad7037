"""An etcd on hosts of its own that was stopped as a whole, and is started member by member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.errors import DeadlineExceeded
from kubeforge.tasks.etcd_members import MemberServes
from tests.unit.tasks.test_tasks_etcd_members import SERVICE, World, impatient

Make = Callable[..., Any]


@pytest.fixture
def world(site: Make) -> World:
    return World(site(etcd_hosts=3), *SERVICE)


def test_the_first_does_not_wait_for_those_that_come_after_it(world: World) -> None:
    """Seen while planning this: the play walks its hosts one by one, and one of three never serves alone."""
    first, second, third = world.names
    world.etcd.down = {second, third}
    MemberServes(alone=True).run(world.run(first))
    world.etcd.down = {third}
    MemberServes(alone=True).run(world.run(second))


def test_with_more_than_half_running_it_must_serve(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a change that makes members useless would reach the next one."""
    first, *_ = world.names
    monkeypatch.setattr(world.etcd, "serves", lambda: False)
    with impatient(), pytest.raises(DeadlineExceeded, match="RAFT NO LEADER"):
        MemberServes(alone=True).run(world.run(first))


def test_the_last_play_waits_for_all(world: World) -> None:
    first, second, third = world.names
    world.etcd.down = {second, third}
    with impatient(), pytest.raises(DeadlineExceeded, match="RAFT NO LEADER"):
        MemberServes().run(world.run(first))
