"""The whole playbook of `node add` planned over hosts in memory: of the other hosts, only what must be touched is."""

from __future__ import annotations

import pytest

from kubeforge.spec.paths import HOSTS
from kubeforge.transport.memory import MemoryHost
from tests.unit.tasks.fleet import Fleet, steps
from tests.unit.tasks.test_tasks_upgrade import runs


def bare(fleet: Fleet, name: str) -> None:
    """Make a host what it was before it was ever in the cluster."""
    for other in fleet.written.hosts:
        host = fleet.made.hosts[other]
        if other != name:
            lines = [line for line in host.file(HOSTS).splitlines() if not line.endswith(f" {name}".encode())]
            host.put(HOSTS, b"\n".join([*lines, b""]))
    fresh = MemoryHost(name)
    fresh.overlay(fleet.made.hosts[name].state.__class__(tests=fleet.made.hosts[name].state.tests))
    fleet.made.hosts[name] = fresh
    del fleet.api.objects_["v1", "Node", "", name]
    fleet.etcd.members.pop(name, None)


def test_for_a_worker_others_learn_its_name_and_nothing_else(fleet: Fleet) -> None:
    bare(fleet, "w1")
    found = steps(fleet.joining("w1"))
    assert {"kubelet.join", "node w1", "unit kubelet.service", "checks.dns"} <= found["w1"]
    # Nodes of an API in memory have no labels and no serving certificates: a real cluster's control planes have.
    for name in ("cp1", "cp2", "cp3"):
        assert found[name] == {f"file {HOSTS}", f"node {name}"}


def test_a_worker_joins_while_a_control_plane_is_away(fleet: Fleet) -> None:
    bare(fleet, "w1")
    fleet.made.hosts["cp1"].unreachable = True
    plan = fleet.joining("w1")
    assert {failure.host for failure in plan.failures} == {"cp1"}
    assert {"kubelet.join", "node w1"} <= {change.title for step in plan.steps for change in step.changes}
    assert not fleet.blocked


def test_a_control_plane_joins_etcd_and_the_balancers(fleet: Fleet) -> None:
    bare(fleet, "cp3")
    found = steps(fleet.joining("cp3"))
    assert {"etcd.join", "control_plane.ready", "node cp3"} <= found["cp3"]


def test_a_second_run_on_whole_hosts_finds_the_same_nothing(fleet: Fleet) -> None:
    found = steps(fleet.joining("w1"))
    assert f"file {HOSTS}" not in {title for titles in found.values() for title in titles}


@pytest.mark.parametrize("version", ["1.35.4", "1.36.2"])
def test_nobody_joins_in_the_midst_of_an_upgrade(fleet: Fleet, version: str) -> None:
    bare(fleet, "w1")
    runs(fleet.made, "cp2", version)
    plan = fleet.joining("w1")
    (failure,) = [one for one in plan.failures if one.step == "rest.one_version"]
    assert f"cluster.yml says Kubernetes 1.36.3, and the cluster runs another one (cp2 {version})" in failure.cause
