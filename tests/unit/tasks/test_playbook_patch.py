"""The playbook of `patch` over hosts in memory: the order, who is spared, what a run that was cut off leaves to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster import evicting
from kubeforge.cluster.cordon import cordoned_by, is_cordoned
from kubeforge.engine.playbook import Portion
from kubeforge.tasks import host_back
from tests.unit.draining_api import pod
from tests.unit.tasks.machines import Machines

Make = Callable[..., Any]


@pytest.fixture
def machines(site: Make, monkeypatch: pytest.MonkeyPatch) -> Machines:
    monkeypatch.setattr(evicting, "_AGAIN", 0.0)
    monkeypatch.setattr(host_back, "NODE_DEADLINE", 0.3)
    monkeypatch.setattr(host_back, "kubelet_log", lambda _: ["kubelet: no"])
    for name in ("lacks_kubelet", "lacks_answer", "lacks_health"):
        monkeypatch.setattr(host_back, name, lambda *_, **__: None)
    return Machines(site(workers=3))


WAY = ["cordon {}", "pod default/{}", "package libc6", "reboot", "host serves", "uncordon {}"]


def way(name: str, pod_: str) -> list[str]:
    return [f"{name} {title.format(pod_ if 'pod' in title else name)}" for title in WAY]


def test_nothing_due_is_no_change(machines: Machines) -> None:
    plan, result = machines.run()
    assert (plan.changes, result.exit_code, machines.log) == (0, 0, [])


def test_hosts_go_one_after_the_other_and_the_second_run_changes_nothing(machines: Machines) -> None:
    machines.due |= {"w1", "w2"}
    plan, result = machines.run()
    planned = [f"{step.host} {change.title}" for step in plan.steps for change in step.changes]
    assert result.exit_code == 0, result.failures
    done = [line for line in machines.log if "reboots" not in line]
    assert done == [*way("w1", "a"), *way("w2", "b")]
    assert sorted(planned) == sorted(done)
    assert machines.hosts["w3"].changes == []
    assert not any(is_cordoned(machines.api.node(name)) for name in ("w1", "w2", "w3"))
    assert machines.run()[0].changes == 0


def test_a_node_that_is_not_ready_again_ends_the_run_and_stays_cordoned(machines: Machines) -> None:
    machines.due |= {"w1", "w2"}
    machines.mute.add("w1")
    _, result = machines.run()
    assert result.exit_code == 15
    assert result.failures[0].host == "w1"
    assert "its kubelet has not reported since" in result.failures[0].cause
    assert not [line for line in machines.log if line.startswith("w2")]
    assert is_cordoned(machines.api.node("w1"))


def test_what_was_cut_off_after_its_reboot_is_only_given_back(machines: Machines) -> None:
    machines.due.add("w1")
    machines.mute.add("w1")
    machines.run()
    assert cordoned_by(machines.api.node("w1"))
    plan, result = machines.run()
    assert [change.title for step in plan.steps for change in step.changes] == ["host serves", "uncordon w1"]
    assert result.exit_code == 0, result.failures
    assert not is_cordoned(machines.api.node("w1"))


def test_a_persons_cordon_stays(machines: Machines) -> None:
    machines.due.add("w1")
    machines.api.node("w1")["spec"]["unschedulable"] = True
    _, result = machines.run()
    assert result.exit_code == 0, result.failures
    assert is_cordoned(machines.api.node("w1"))
    assert "w1 uncordon w1" not in machines.log


def test_a_pod_that_would_be_lost_stops_everything_before_it_begins(machines: Machines) -> None:
    machines.due |= {"w1", "w2"}
    bare = pod("bare", on="w2", owner=None)
    machines.api.objects_["v1", "Pod", "default", "bare"] = bare
    plan, result = machines.run()
    assert [(one.host, one.exit_code) for one in plan.failures] == [("w2", 12)]
    assert (result.exit_code, machines.log) == (12, [])
    assert machines.run(drain_force="yes")[1].exit_code == 0


def test_several_at_a_time(machines: Machines) -> None:
    machines.due |= {"w1", "w2", "w3"}
    assert machines.run(serial=(Portion(1), Portion(2)))[1].exit_code == 0
    begun = [line.split()[0] for line in machines.log if "cordon" in line and "uncordon" not in line]
    assert (begun[0], set(begun[1:])) == ("w1", {"w2", "w3"})
    assert machines.log.index("w1 uncordon w1") < min(machines.log.index(f"{name} cordon {name}") for name in begun[1:])


def test_without_reboots_and_drains(machines: Machines) -> None:
    machines.due.add("w1")
    assert machines.run(patch_reboot="never", patch_drain="no")[1].exit_code == 0
    assert machines.log == ["w1 package libc6", "w1 host serves"]
    assert machines.boots["w1"] == 1
