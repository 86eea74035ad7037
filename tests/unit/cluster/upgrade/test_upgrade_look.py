"""A whole look before an upgrade, over hosts in memory and an API server on loopback: well, half dead, and dead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeforge.artifacts.availability import Availability, Shelf
from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import SourceChoice, SourceKind, Versions
from kubeforge.cluster.upgrade.look import look
from kubeforge.cluster.upgrade.model import Done, UpgradePlan, Verdict
from kubeforge.errors import ArtifactError, InputError
from kubeforge.report.upgrade import as_text
from kubeforge.transport.base import Completed
from tests.unit.cluster.status.conftest import Asked, World, world  # noqa: F401 - a fixture

Make = Callable[..., World]
ROOM = "/dev/x 41943040 20971520 20971520 50% /"
MANIFEST = "spec:\n  containers:\n  - image: registry.k8s.io/{}:v{}\n    command: [x, --{}]\n"


class Both(Asked):
    """Answers the script of an upgrade beside the one of `status`."""

    upgrade: dict[str, str]
    refuses = b""

    def run(self, argv: Sequence[str], **more: Any) -> Completed:
        if argv[0].endswith("/ctr"):
            self.ran.append(tuple(argv))
            return Completed(1, stderr=self.refuses)
        if len(argv) != 5 or "before an upgrade" not in argv[2]:
            return super().run(argv, **more)
        self.ran.append(tuple(argv))
        told = "".join(f"\n{argv[4]} {name}\n{body}\n" for name, body in {**self.upgrade, "end": ""}.items())
        return Completed(0, told.encode())


class FixedShelf(Shelf):
    """Has two versions, and images only in registries where it is told so."""

    def __init__(self, *, pulls: bool = False, broken: bool = False) -> None:
        self.pulls, self.broken = pulls, broken

    def kubernetes(self) -> tuple[str, ...]:
        if self.broken:
            raise ArtifactError("the mirror cannot be read")
        return ("1.36.3", "1.37.0")

    def look(self, versions: Versions, arch: str) -> Availability:
        return Availability(versions=versions, arch=arch, source="source", pulls=self.pulls)


def prepared(world: World) -> World:  # noqa: F811 - the world that the fixture made
    """Let every host answer what an upgrade asks."""
    for host in world.hosts.values():
        host.__class__ = Both
        assert isinstance(host, Both)
        host.upgrade = {
            "arch": "x86_64",
            "programs": "kubelet Kubernetes v1.36.3\ncontainerd x v2.3.7\nrunc runc version 1.4.3\ncni v1.9.1",
            "stored": "",
            "images": "registry.k8s.io/pause:3.10.2",
            "store": ROOM,
            "image-store": ROOM,
        }
        if host.kubeconfig is not None:
            host.upgrade["manifest kube-scheduler"] = MANIFEST.format("kube-scheduler", "1.36.3", "made-up")
    return world


def seen(made: World, version: str | None = None, **shelf: bool) -> UpgradePlan:
    plan = look(made.sample.inventory, made.sample.spec, made.remote, FixedShelf(**shelf), version=version)
    assert as_text(plan), "whatever is the matter, it can be shown"
    assert as_text(plan, everything=True)
    return plan


def kinds(plan: UpgradePlan) -> set[str]:
    return {one.kind for one in plan.problems}


def test_all_is_well(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    plan = seen(made)
    assert (plan.now, plan.wanted, plan.verdict, plan.exit_code) == ("1.36.3", "1.37.0", Verdict.CAN_GO, 0)
    assert [one.kubernetes for one in plan.choices] == ["1.37.0"]
    assert [(one.host, one.done) for one in plan.hosts] == [(name, Done.NO) for name in ("cp1", "cp2", "cp3", "w1")]
    assert plan.hosts[0].now == {
        "etcd": "3.6.16", "kube-apiserver": "1.36.3", "kube-controller-manager": "1.36.3", "kube-scheduler": "1.36.3",
        "containerd": "2.3.7", "runc": "1.4.3", "cni": "1.9.1", "kubelet": "1.36.3",
    }  # fmt: skip
    assert {one.host: one.free for one in plan.room} == dict.fromkeys(made.hosts, 20971520 << 10)
    assert kinds(plan) == {"flags-not-known", "not-seen"}, "this API server has neither metrics nor budgets"


def test_a_host_is_asked_once_more_than_by_status(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    seen(made)
    assert len(made.hosts["w1"].ran) == 2


def test_what_the_api_servers_were_asked_for(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    line = 'apiserver_requested_deprecated_apis{group="a",removed_release="1.37",resource="b",version="v1beta1"} 1'
    made.server.answers["/metrics"] = line
    plan = seen(made, "1.37")
    told = [one for one in plan.problems if one.kind == "api-requested"]
    assert [(one.where, "cp1, cp2, cp3" in one.message) for one in told] == [("b of a/v1beta1", True)]
    assert plan.verdict is Verdict.BLOCKED


def test_one_control_plane_is_dead(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    made.hosts["cp2"].unreachable = True
    plan = seen(made)
    assert plan.verdict is Verdict.BLOCKED
    assert ("unhealthy", "cp2") in {(one.kind, one.where) for one in plan.problems}
    assert [one.host for one in plan.room] == ["cp1", "cp3", "w1"]


def test_no_api_answers(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    made.stop_api()
    plan = seen(made)
    assert plan.verdict is Verdict.BLOCKED
    assert {"unhealthy", "not-seen"} <= kinds(plan)


def test_nobody_can_be_entered(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    for host in made.hosts.values():
        host.unreachable = True
    plan = seen(made)
    assert (plan.verdict, plan.exit_code, plan.path) == (Verdict.UNREACHABLE, 11, ())


def test_images_that_are_pulled_are_asked_for(world: Make) -> None:  # noqa: F811
    """Nothing leads from the hosts in memory to a registry."""
    plan = seen(prepared(world()), "1.37.0", pulls=True)
    told = [one for one in plan.problems if one.kind == "image-doubtful"]
    assert any("registry.k8s.io/kube-apiserver:v1.37.0 could not be asked for" in one.message for one in told)
    assert not any("pause:3.10.2" in one.message for one in told), "all hosts have it"


def test_a_binary_that_is_there_already_is_asked(world: Make) -> None:  # noqa: F811
    """As after `apply --tags prepare`; containerd's ctr is what calls it."""
    made = prepared(world())
    host = made.hosts["cp2"]
    assert isinstance(host, Both)
    image = "registry.k8s.io/kube-apiserver:v1.37.0"
    host.upgrade["images"] = image
    host.refuses = b"Error: unknown flag: --old"
    plan = seen(made, "1.37.0")
    (told,) = [one for one in plan.problems if one.kind == "arguments-refused"]
    assert (told.where, "unknown flag: --old" in told.message) == ("kube-apiserver", True)
    (asked,) = [argv for argv in host.ran if image in argv]
    assert asked[-1] == "--version"
    assert "--etcd-servers=https://127.0.0.1:2379" in asked


def test_versions_that_nobody_knows(world: Make) -> None:  # noqa: F811
    made = prepared(world())
    with pytest.raises(InputError):
        seen(made, "1.99")
    assert not made.hosts["w1"].ran, "no host is asked for nothing"


def test_a_source_that_cannot_be_read(world: Make) -> None:  # noqa: F811
    assert seen(prepared(world()), broken=True).wanted == "1.37.0"


def test_a_real_shelf_names_what_cannot_be_compiled(world: Make, tmp_path: Path) -> None:  # noqa: F811
    made = prepared(world())
    shelf = Shelf(SourceChoice(kind=SourceKind.SOURCE), Cache(tmp_path))
    plan = look(made.sample.inventory, made.sample.spec, made.remote, shelf, version="1.37.0")
    (told,) = [one for one in plan.problems if one.kind == "part-missing"]
    assert "kubernetes 1.37.0: pinned are" in told.message
