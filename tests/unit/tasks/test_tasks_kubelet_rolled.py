"""A kubelet that lives gets other files or another version when it is its turn. On hosts in memory."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from kubeforge.engine.model import Action
from kubeforge.errors import OperationFailed
from kubeforge.operations.model import Entry, Observation, Queries, fold
from kubeforge.spec.paths import KUBELET_CONFIG, STORE
from kubeforge.tasks import (
    kubelet,
    kubernetes,
)
from kubeforge.tasks.kubelet_rolled import KubeletRolled
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import (
    KUBELET_PROGRAM,
    Make,
    talk,
    titles,
)


def test_the_kubelet_of_a_living_node_has_a_turn_of_its_own(living_site: Make) -> None:
    made = living_site(kubelet={"config": {"maxPods": 50}})
    assert made.ask("cp1", kubelet.configure) == []
    assert [unit.listens for unit in made.ask("cp1", kubelet.run)] == [()], "a kubelet that was stopped is started"
    items = made.ask("cp1", kubelet.roll)
    seen = made.hosts["cp1"].observe(Queries.merge(item.observe() for item in items if not isinstance(item, Action)))
    changes, after = fold([item for item in items if not isinstance(item, Action)], seen)
    assert titles(changes) == [f"file {KUBELET_CONFIG}", "unit kubelet.service"]
    (action,) = [item for item in items if isinstance(item, KubeletRolled)]
    assert titles(action.plan(talk(made, "cp1", expected=after))) == ["kubelet.serves"]
    assert action.plan(talk(made, "cp1")) == []


def older(made: Any, host: str) -> str:
    """Have a host run a kubelet of another version; return where that one lies."""
    path = f"{STORE}/{'0' * 64}"
    link = {KUBELET_PROGRAM: Entry(stat.S_IFLNK | 0o777, target=path), path: Entry(stat.S_IFREG | 0o755)}
    now = made.hosts[host].state.paths[KUBELET_PROGRAM].target
    made.hosts[host].overlay(Observation(paths={**link, now: None}))
    return path


def test_another_version_is_stored_first_and_linked_when_it_is_the_hosts_turn(living_site: Make) -> None:
    made = living_site()
    before = older(made, "cp1")
    assert made.apply("cp1", kubernetes.install) == ["stored kubelet"]
    assert made.hosts["cp1"].state.paths[KUBELET_PROGRAM].target == before
    told = made.apply("cp1", kubelet.roll)
    assert told == [f"artifact {KUBELET_PROGRAM}", "unit kubelet.service"]
    assert made.hosts["cp1"].state.paths[KUBELET_PROGRAM].target != before
    assert made.hosts["cp1"].state.paths["/var/lib/kubeforge/last-good/kubelet/kubelet"].target == before


def test_a_version_that_does_not_come_up_gives_way_to_the_one_before(living_site: Make, quick: None) -> None:
    made = living_site()
    before = older(made, "cp1")
    made.apply("cp1", kubelet.roll)
    (action,) = [item for item in made.ask("cp1", kubelet.roll) if isinstance(item, KubeletRolled)]
    restarts = ("systemctl", "show", "-P", "NRestarts", "kubelet.service")
    made.hosts["cp1"].commands[restarts] = Completed(0, b"0\n")
    with pytest.raises(OperationFailed, match="what it ran with before was to be put back"):
        action.run(talk(made, "cp1"))
    assert made.hosts["cp1"].state.paths[KUBELET_PROGRAM].target == before


def test_a_file_of_a_kubelet_that_is_gone_is_written_at_once(living_site: Make) -> None:
    made = living_site()
    made.hosts["cp1"].overlay(Observation(paths={KUBELET_CONFIG: None}, hashes={KUBELET_CONFIG: None}))
    assert titles(made.ask("cp1", kubelet.configure)) == [f"file {KUBELET_CONFIG}"]


def test_a_kubelet_that_does_not_come_up_has_its_old_files_back(living_site: Make, quick: None) -> None:
    made = living_site(kubelet={"config": {"maxPods": 50}})
    made.apply("cp1", kubelet.roll)
    assert b"maxPods: 50" in made.hosts["cp1"].file(KUBELET_CONFIG)
    (action,) = [item for item in made.ask("cp1", kubelet.roll) if isinstance(item, KubeletRolled)]
    restarts = ("systemctl", "show", "-P", "NRestarts", "kubelet.service")
    made.hosts["cp1"].commands[restarts] = Completed(0, b"0\n")
    with pytest.raises(OperationFailed, match="what it ran with before was to be put back"):
        action.run(talk(made, "cp1"))
    assert b"maxPods" not in made.hosts["cp1"].file(KUBELET_CONFIG)
    assert made.hosts["cp1"].changes[-1].title == "unit kubelet.service"
