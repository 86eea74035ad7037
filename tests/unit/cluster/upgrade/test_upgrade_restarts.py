"""What restarts, in which order, for how long; how much room new parts take."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kubeforge import tasks
from kubeforge.addons.registry import ADDONS
from kubeforge.artifacts.model import LocalFile
from kubeforge.cluster.upgrade.durations import DURATIONS, IMPORT, PLANNING
from kubeforge.cluster.upgrade.restarts import PHASES, seconds
from kubeforge.cluster.upgrade.runs import ADDON_VERSIONS, versions_of
from kubeforge.engine.playbook_loader import load
from kubeforge.resources import playbook
from kubeforge.spec.model import Upgrade, UpgradeGroup

from .conftest import GIB, NEW, OLD, PLANE, Before, make

MEBI = 1 << 20


def turns(made: Before, wanted: str = NEW) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.what, one.hosts) for one in made.plan(wanted).restarts]


def test_control_planes_one_by_one_then_addons_then_workers() -> None:
    made = make(control_planes=2, workers=1)
    assert turns(made) == [
        *((what, ("cp1",)) for what in (*PLANE, "kubelet")),
        *((what, ("cp2",)) for what in (*PLANE, "kubelet")),
        ("kube-proxy", ("cp1", "cp2", "w1")),
        ("coredns", ()),
        ("kubelet", ("w1",)),
    ]


def test_etcd_before_what_asks_it() -> None:
    made = make(control_planes=3, workers=0)
    made.etcd("3.6.11")
    assert [(what, hosts) for what, hosts in turns(made) if what in ("etcd", "kube-apiserver")] == [
        (what, (host,)) for host in ("cp1", "cp2", "cp3") for what in ("etcd", "kube-apiserver")
    ]


def test_etcd_on_hosts_of_its_own_before_all_others() -> None:
    made = make(control_planes=1, workers=0, etcd_hosts=3)
    made.etcd("3.6.11")
    assert turns(made)[:4] == [("etcd", ("e1",)), ("etcd", ("e2",)), ("etcd", ("e3",)), ("kube-apiserver", ("cp1",))]


ROLES = {"etcd": "etcd", "kube_control_plane": "control-plane", "kube_node": "worker"}
RESTARTED = {
    "runtime.roll": ["containerd"],
    "etcd.service": ["etcd"],
    "etcd.roll": ["etcd"],
    "control_plane.roll": list(PLANE),
    "kubelet.roll": ["kubelet"],
    "addons.apply": list(ADDON_VERSIONS),
    "upgrade.addons": list(ADDON_VERSIONS),
}


def phases(name: str) -> list[tuple[str, list[str], list[str], bool]]:
    """Return what a playbook restarts, in order: role, components, sizes of batches, whether groups have their own."""
    found = []
    for play in load(playbook(name), tasks.load()).plays:
        what = [one for call in play.tasks for one in RESTARTED.get(call.name, [])]
        role = "addons" if play.run_once else ROLES[re.split("[:,]", play.hosts)[0]] if what else ""
        if what:
            found.append((role, what, [str(size) for size in play.serial] or ["1"], play.by_group))
    return found


@pytest.mark.parametrize("name", ["upgrade", "apply"])
def test_the_order_is_that_of_the_playbook(name: str) -> None:
    wanted = [
        (one.role, list(one.components), list(map(str, one.serial)), one.by_group and name == "upgrade")
        for one in PHASES
    ]
    assert phases(name) == wanted


def test_the_order_of_addons_is_that_in_which_they_are_applied() -> None:
    assert [one.name for one in ADDONS if one.name in ADDON_VERSIONS] == list(ADDON_VERSIONS)


def test_groups_of_workers_come_one_after_the_other_in_their_own_batches() -> None:
    made = make(control_planes=1, workers=6)
    groups = {"edge": ("w5", "w6"), "big": ("w2", "w3", "w4")}
    inventory = replace(made.sample.inventory, groups={**made.sample.inventory.groups, **groups})
    upgrade = Upgrade(groups={"edge": UpgradeGroup(serial=["2"]), "big": UpgradeGroup(max_unavailable="1")})
    made.sample = replace(
        made.sample, inventory=inventory, spec=made.sample.spec.model_copy(update={"upgrade": upgrade})
    )
    kubelets = [hosts for what, hosts in turns(made) if what == "kubelet"]
    assert kubelets == [("cp1",), ("w5", "w6"), ("w2",), ("w3",), ("w4",), ("w1",)]


def test_one_worker_first_then_a_quarter_of_them() -> None:
    made = make(control_planes=1, workers=9)
    assert [len(hosts) for what, hosts in turns(made)[-5:]] == [1, 2, 2, 2, 2]


def test_those_who_have_come_are_no_part_of_a_batch() -> None:
    made = make(control_planes=1, workers=9)
    for number in range(1, 6):
        made.runs(f"w{number}", NEW, "kubelet")
    kubelets = [hosts for what, hosts in turns(made) if what == "kubelet"]
    assert kubelets == [("cp1",), ("w6",), ("w7", "w8"), ("w9",)]


def test_a_runtime_that_is_older_comes_before_the_kubelet() -> None:
    made = make(control_planes=1, workers=1)
    node = replace(made.kubernetes.nodes["w1"], runtime="2.2.0")
    made.kubernetes = replace(made.kubernetes, nodes={**made.kubernetes.nodes, "w1": node})
    assert turns(made)[-2:] == [("containerd", ("w1",)), ("kubelet", ("w1",))]


def test_each_step_begins_where_the_last_one_ended() -> None:
    plan = make(control_planes=1, workers=0).plan("1.37.0")
    servers = [(one.step, one.now, one.then) for one in plan.restarts if one.what == "kube-apiserver"]
    assert servers == [(NEW, OLD, NEW), ("1.37.0", NEW, "1.37.0")]
    assert [one.turn for one in plan.restarts] == list(range(1, len(plan.restarts) + 1))


def test_what_happens_side_by_side_takes_its_time_once() -> None:
    plan = make(control_planes=1, workers=0).plan()
    once = sum(DURATIONS[what].seconds for what in (*PLANE, "kubelet", "kube-proxy", "coredns"))
    assert plan.seconds == pytest.approx(once + PLANNING.seconds + IMPORT.seconds)
    same = [replace(one, turn=1) for one in plan.restarts]
    assert seconds(same, 0) == max(one.seconds for one in same)


def test_everything_that_restarts_has_a_duration() -> None:
    named = {what for phase in PHASES for what in phase.components}
    assert named == set(DURATIONS)
    assert set(ADDON_VERSIONS) <= set(DURATIONS)
    assert all(row.seconds > 0 for row in DURATIONS.values())


def needed(made: Before, host: str) -> tuple[int, bool]:
    (need,) = [one for one in made.plan().room if one.host == host]
    return need.needed, need.estimated


def test_room_of_parts_that_are_here_is_counted_by_their_bytes() -> None:
    made = make(control_planes=1, workers=1)
    both = LocalFile(path=Path("x"), sha256="a" * 64, size=100 * MEBI)
    other = LocalFile(path=Path("y"), sha256="b" * 64, size=7 * MEBI)
    images = versions_of(NEW)
    made.lacking[NEW] = {"files": {"kubelet": both, "kubeadm": both, "runc": other, "etcd": other}}
    made.seen_on("w1", images=frozenset(made.availability(NEW)["amd64"].images.values()))
    assert needed(made, "w1") == (107 * MEBI, False), "one file under two names is stored once; no etcd on workers"
    made.seen_on("w1", stored=frozenset({"a" * 64}))
    assert needed(made, "w1") == (7 * MEBI, False)
    assert images.kubernetes == NEW


def test_images_take_their_archive_and_what_is_in_it() -> None:
    made = make(control_planes=1, workers=1)
    archive = LocalFile(path=Path("x"), sha256="c" * 64, size=37 * MEBI)
    nothing = LocalFile(path=Path("y"), sha256="d" * 64, size=0)
    made.lacking[NEW] = {"files": {"kubelet": nothing}, "archives": {"node": archive}}
    assert needed(made, "w1") == ((37 + 156) * MEBI, True)


def test_room_by_file_system() -> None:
    made = make(control_planes=1, workers=0)
    images = replace(made.hosts["cp1"].image_store or pytest.fail("none"), mount="/var/lib/containerd", free=GIB)
    made.seen_on("cp1", image_store=images)
    found = {one.mount: one.free for one in made.plan().room}
    assert found == {"/": 20 * GIB, "/var/lib/containerd": GIB}


def test_a_kubelet_that_evicts_late_is_in_no_hurry() -> None:
    made = make(control_planes=1, workers=1)
    small = replace(made.hosts["w1"].store or pytest.fail("none"), free=4000 * MEBI)
    made.seen_on("w1", store=small, image_store=small, evicts=0.01)
    assert "room-tight" not in {one.kind for one in made.plan().problems}
