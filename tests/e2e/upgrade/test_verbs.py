"""`upgrade plan` on a living cluster: what it says is so, nothing is changed, bad input refused, who is done told."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import respec

pytestmark = pytest.mark.lab

OLD, NEW, LATER = "1.35.4", "1.36.3", "1.37.0"
BETA = "networking.k8s.io/v1beta1"
IN_USE = {"api-requested", "api-written"}
CIDR = {"apiVersion": BETA, "kind": "ServiceCIDR", "metadata": {"name": "more"}, "spec": {"cidrs": ["10.44.0.0/24"]}}
STATE = (
    "ls /var/lib/kubeforge/generations /var/lib/kubeforge/store/sha256;"
    " (sha256sum /etc/kubernetes/manifests/* 2>/dev/null || true);"
    " systemctl show -P ActiveEnterTimestampMonotonic kubelet containerd; ctr -n k8s.io images ls -q | sort"
)


@pytest.fixture(scope="module")
def old() -> Iterator[Ha]:
    """A living cluster of the older minor; its API server also serves a beta that goes."""
    with made("verbs", control_planes=1, workers=1, kubernetes=OLD) as forge:
        args = {"extra_args": {"runtime-config": f"{BETA}=true"}}
        respec(forge, lambda data: data.update(addons={}, api_server=args))
        forge.apply().check(0)
        forge.until_good()
        yield forge


@contextmanager
def spec(forge: Ha, change: Callable[[dict[str, Any]], object]) -> Iterator[None]:
    """Have another cluster.yml for a while."""
    before = respec(forge, change)
    try:
        yield
    finally:
        (forge.inventory / "cluster.yml").write_text(before)


def plan(forge: Ha, *words: str, code: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(forge.run("upgrade plan", *words, "-o", "json").check(code).out)
    return data


def kinds(data: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["kind"], one["where"]) for one in data["problems"]}


def state(forge: Ha) -> dict[str, str]:
    return {name: forge.sh(name, STATE) for name in ("cp1", "w1")}


def test_it_can_go_and_nothing_is_changed(old: Ha) -> None:
    before = state(old)
    data = plan(old)
    assert (data["verdict"], data["now"], data["wanted"], data["half_done"]) == ("can-go", OLD, NEW, False)
    assert [(one["host"], one["done"]) for one in data["hosts"]] == [("cp1", "no"), ("w1", "no")]
    assert [one["kubernetes"] for one in data["path"]] == [NEW]
    blocked = {one["kubernetes"]: bool(one["blocked"]) for one in data["choices"]}
    assert blocked == {NEW: False, LATER: True}, "what is compiled from source has no later minor"
    assert state(old) == before


def test_versions_are_those_that_run(old: Ha) -> None:
    """What programs compiled from source say of themselves, too: none may be without a version."""
    now = {one["host"]: one["now"] for one in plan(old)["hosts"]}
    assert {one["kubelet"] for one in now.values()} == {OLD}
    assert {now["cp1"][name] for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")} == {OLD}
    said = old.sh(
        "cp1", "containerd --version; runc --version | head -n 1; /opt/cni/bin/bridge </dev/null 2>&1 | head -n 1"
    )
    print(f"\n{said}")
    for name in ("etcd", "containerd", "runc"):
        assert now["cp1"][name] in said or name == "etcd", (name, now["cp1"], said)
        assert now["cp1"][name], name


def test_restarts_are_in_order(old: Ha) -> None:
    found = [(one["what"], one["hosts"]) for one in plan(old)["restarts"]]
    plane = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"]
    assert [what for what, hosts in found if hosts == ["cp1"]] == plane
    assert found[-1] == ("kubelet", ["w1"])


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("1.35.0", 12, ("downgrade", "Kubernetes does not go back")),
        ("1.99", 10, ("Kubernetes 1.99 is not supported; supported: 1.35, 1.36, 1.37",)),
        ("latest", 10, ("`latest` is no version",)),
        ("1.36.99", 12, ("part-missing", "version-not-known", f"name one that source has: {NEW}")),
    ],
)
def test_versions_that_cannot_be(old: Ha, version: str, code: int, words: tuple[str, ...]) -> None:
    old.run("upgrade plan", version).check(code, *words)


def test_a_minor_that_is_skipped_is_gone_through(old: Ha) -> None:
    data = plan(old, LATER, code=12)
    assert [one["kubernetes"] for one in data["path"]] == [NEW, LATER]
    assert ("part-missing", f"{LATER} amd64") in kinds(data)


def test_a_gate_that_the_new_minor_refuses(old: Ha) -> None:
    with spec(old, lambda data: data["api_server"].update(feature_gates={"TopologyAwareHints": True})):
        data = plan(old, NEW, code=12)
    assert ("spec-refused", "api_server.feature_gates.TopologyAwareHints") in kinds(data)


def test_an_old_api_in_use(old: Ha) -> None:
    """Asked for and written by: the API server's metric, and the manager of a living object."""
    assert not IN_USE & {kind for kind, _ in kinds(plan(old, LATER, code=12))}
    old.kubectl("apply", "-f", "-", stdin=json.dumps(CIDR))
    found = kinds(plan(old, LATER, code=12))
    assert ("api-requested", f"servicecidrs of {BETA}") in found
    assert ("api-written", f"servicecidrs of {BETA}") in found
    assert not IN_USE & {kind for kind, _ in kinds(plan(old, NEW))}, "1.36 serves it still"
    told = old.run("upgrade plan", LATER, "--ignore", "api-requested").check(12)
    assert "--ignore" not in told.out.partition("api-requested")[0]
    old.kubectl("delete", "servicecidr", "more")


def test_no_room(old: Ha) -> None:
    """The store lies on a file system of 20 MiB for a while."""
    store = "/var/lib/kubeforge/store"
    old.sh("w1", f"mount -t tmpfs -o size=20m none {store}")
    try:
        data = plan(old, NEW, code=12)
    finally:
        old.sh("w1", f"umount {store}")
    assert ("room", "w1") in kinds(data)
    (need,) = [one for one in data["room"] if one["host"] == "w1" and one["mount"] == store]
    assert need["needed"] > need["free"]


def test_binaries_that_are_there_are_asked(old: Ha) -> None:
    """A value of the wrong kind is in no table of flags; the binary itself refuses it."""
    with spec(old, lambda data: data.update(kubernetes=NEW)):
        old.run("apply", "--yes", "--tags", "prepare").check(0)
        assert plan(old, NEW)["verdict"] == "can-go"
        wrong = {"max-requests-inflight": "lots"}
        with spec(old, lambda data: data["api_server"]["extra_args"].update(wrong)):
            data = plan(old, NEW, code=12)
    assert ("arguments-refused", "kube-apiserver") in kinds(data)


def test_a_half_done_upgrade_says_who_is_done(old: Ha) -> None:
    respec(old, lambda data: data.update(kubernetes=NEW))
    with old.started() as run:
        run.until(lambda: run.step("StepStarted", "cp1", "kubelet.serves"), within=240)
        run.send(signal.SIGKILL)
        run.child.wait(10)
    old.until_good()  # its kubelet was being restarted
    data = plan(old)
    assert (data["wanted"], data["half_done"]) == (NEW, True)
    done = {one["host"]: one["done"] for one in data["hosts"]}
    assert done["w1"] == "no"
    assert done["cp1"] in ("partly", "yes")
    assert "half-done" in {kind for kind, _ in kinds(data)}
    assert not [one for one in data["restarts"] if one["what"] == "kube-apiserver"], "it is new already"


def test_everything_is_new(old: Ha) -> None:
    old.apply().check(0)
    old.until_good()
    data = plan(old, "1.36")
    assert (data["verdict"], data["path"], data["restarts"]) == ("nothing-to-do", [], [])
    assert {one["done"] for one in data["hosts"]} == {"yes"}
