"""What a drain takes for granted of the API, asked of a real one: answers to evictions, budgets, whose a cordon is.

etcd, API server and controller manager are real; who binds pods, says that they are Ready and takes them away when they
have ended is a thread here, as there is no kubelet.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.api import Api
from kubeforge.cluster.cordon import CORDON_TAINT, cordoned_by, is_cordoned, node_of
from kubeforge.cluster.credentials import parse_kubeconfig
from kubeforge.cluster.draining import DrainOptions
from kubeforge.cluster.kinds import Obj
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.engine.model import Context
from kubeforge.engine.vault import OnceVault
from kubeforge.errors import ApiError, DeadlineExceeded, UnfitHost
from kubeforge.lab.syscalls import Namespace, set_namespace
from kubeforge.manifests import control_plane
from kubeforge.operations.model import Observation
from kubeforge.secret import Secret
from kubeforge.spec.paths import API_PORT
from kubeforge.tasks.drain import Drain, Uncordon
from tests.integration.pure.test_real_servers import ADMIN, Machine, apply, serve
from tests.unit.draining_api import budget
from tests.unit.tasks.memory_api import FixedAccess

pytestmark = pytest.mark.lab
NEVER = "example.test/never"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def version() -> str:
    return "1.36.3"


@pytest.fixture
def cluster(version: str, sample: Any) -> Any:
    return sample(version, pki={"algorithm": "ECDSA-P256"})


@pytest.fixture
def machine(program: Any, tmp_path: Path, cluster: Any, make_pki: Any) -> Iterator[Machine]:
    root = tmp_path / "root"
    for path, content in make_pki(cluster)[0].items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    made = Machine(program, root, cluster.first.address)
    yield made
    made.close()


def connected(machine: Machine, address: str) -> Api:
    """Return a client whose sockets are opened in the machine's network."""

    def opened() -> socket.socket:
        found: list[socket.socket] = []

        def inside() -> None:
            set_namespace(f"/proc/{machine.holder.pid}/ns/net", Namespace.NET)
            with suppress(OSError):
                found.append(socket.create_connection((address, API_PORT), timeout=5))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if not found:
            raise OSError("nobody listens there")
        return found[0]

    text = (machine.root / ADMIN.lstrip("/")).read_bytes()
    return Api([opened], parse_kubeconfig(Secret(text)))


class Kubelets(threading.Thread):
    """Binds pods, says that they are Ready, and takes those away that were told to end, but for some."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api, self.done, self.deaf = api, threading.Event(), False
        self.waits: Callable[[], object] = lambda: False  # while it holds nobody becomes Ready

    def run(self) -> None:
        while not self.done.wait(0.1):
            with suppress(ApiError):  # somebody else may have been faster
                for pod in self.api.objects("v1", "Pod", namespace="default"):
                    self.mind(pod)

    def mind(self, pod: Obj) -> None:
        metadata, name = pod["metadata"], pod["metadata"]["name"]
        if metadata.get("deletionTimestamp"):
            if not self.deaf:
                self.api.answer("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": self.free()}
            self.api.post(f"{PODS}/{name}/binding", {"metadata": {"name": name}, "target": target})
        elif pod["status"]["phase"] == "Pending" and not self.waits():
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            self.api.patch(pod, {"status": ready}, subresource="status")

    def free(self) -> str:
        """Return a node that takes pods."""
        return next(name for name in ("w1", "w2") if not is_cordoned(node_of(self.api, name)))


class Site:
    """The cluster, and what is said in conversations with it."""

    def __init__(self, machine: Machine, cluster: Any, api: Api, kubelets: Kubelets) -> None:
        self.machine, self.cluster, self.api, self.kubelets = machine, cluster, api, kubelets
        self.said: list[str] = []

    def talk(self) -> Conversation:
        def heard(event: Any) -> None:
            if isinstance(event, ActionSaid):
                self.said.append(event.message)

        vault = OnceVault(lambda _: None)  # type: ignore[arg-type, return-value]  # no host is asked
        vault.once("cluster.access", lambda: FixedAccess(self.api))  # type: ignore[arg-type]
        sample = self.cluster
        context = Context(
            host=sample.first, inventory=sample.inventory, facts=sample.facts, seen={}, vault=vault, spec=sample.spec
        )
        return Conversation(
            context=context,
            title="t",
            expected=Observation(),
            pending=False,
            connect=lambda _: None,  # type: ignore[arg-type, return-value]  # no host is asked
            events=Events([heard]),
            stopping=lambda: False,
            run_id="r1",
        )

    def drain(self, **options: Any) -> list[str]:
        action = Drain(node="w1", options=DrainOptions(**{"deadline": 30.0, **options}))
        planned = action.plan(self.talk())
        done = action.run(self.talk())
        assert [change.title for change in done] == [change.title for change in planned]
        return [change.title for change in done]

    def pods(self, on: str) -> list[str]:
        found = self.api.objects("v1", "Pod", namespace="default", fields={"spec.nodeName": on})
        return sorted(one["metadata"]["name"] for one in found)

    def until(self, name: str, condition: Callable[[], object]) -> None:
        self.machine.wait(name, condition, seconds=30)

    def counted(self, name: str, replicas: int) -> bool:
        found = self.api.get("policy/v1", "PodDisruptionBudget", name, "default") or {}
        return bool(found.get("status", {}).get("currentHealthy") == replicas)


@pytest.fixture
def site(machine: Machine, cluster: Any) -> Iterator[Site]:
    serve(machine, cluster)
    machine.start(control_plane.controller_manager(cluster.spec, cluster.images))
    api = connected(machine, cluster.first.address)
    kubelets = Kubelets(connected(machine, cluster.first.address))
    for name in ("w1", "w2"):
        made = api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "x", "message": "x"}]}
        api.patch({"apiVersion": "v1", "kind": "Node", **made}, {"status": ready}, subresource="status")
    machine.wait("there is an account", lambda: api.get("v1", "ServiceAccount", "default", "default"))
    kubelets.start()
    try:
        yield Site(machine, cluster, api, kubelets)
    finally:
        kubelets.done.set()
        kubelets.join()
        kubelets.api.close()
        api.close()


def container() -> Obj:
    return {"name": "it", "image": "example.test/it:1"}


def web(replicas: int) -> Obj:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container()]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
    }


def promise(name: str, least: int) -> Obj:
    made = budget(name, desired=least)
    return {
        **{key: made[key] for key in ("apiVersion", "kind", "spec")},
        "metadata": {"name": name, "namespace": "default"},
    }


def bare(name: str, *finalizers: str) -> Obj:
    metadata = {"name": name, "namespace": "default", "finalizers": list(finalizers)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "w1", "containers": [container()]},
    }


def evicted(api: Api, name: str, *, namespace: str = "default", uid: str | None = None) -> tuple[int, Obj]:
    how = {"preconditions": {"uid": uid}} if uid else {}
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": how}
    return api.answer("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)


def reasons(answer: Obj) -> set[str]:
    return {cause.get("reason") for cause in (answer.get("details") or {}).get("causes") or ()}


def test_drains(site: Site) -> None:
    a_budget_is_kept(site)
    whose_a_cordon_is(site)
    a_budget_that_never_allows(site)
    answers_to_evictions(site)
    finalizers_that_never_end(site)
    a_dead_host(site)


_TOLD = "not yet: budget default/web (minAvailable 1)"


def a_budget_is_kept(site: Site) -> None:
    apply(site.machine, [web(2), promise("web", 1)])
    site.until("both are Ready", lambda: len(site.pods("w1")) == 2 and site.counted("web", 2))
    site.kubelets.waits = lambda: not [word for word in site.said if _TOLD in word]
    titles = site.drain()
    assert titles[0] == "cordon w1"
    assert len(titles) == 3
    assert site.pods("w1") == []
    site.until("others are on w2", lambda: len(site.pods("w2")) == 2)
    assert [word for word in site.said if _TOLD in word], site.said
    assert cordoned_by(node_of(site.api, "w1")) == "r1"
    assert Drain(node="w1").plan(site.talk()) == []


def whose_a_cordon_is(site: Site) -> None:
    """Kubernetes keeps our mark as long as our cordon, and takes it away with it, whoever ends that."""

    def tainted() -> list[Obj]:
        return [one for one in node_of(site.api, "w1")["spec"].get("taints") or () if one["key"] == CORDON_TAINT]

    assert [one.get("value") for one in tainted()] == ["r1"]
    assert site.machine.kubectl("uncordon", "w1").returncode == 0
    site.until("the taint has gone", lambda: not tainted())
    assert site.machine.kubectl("cordon", "w1").returncode == 0
    site.until("the taint is there", tainted)
    assert cordoned_by(node_of(site.api, "w1")) is None
    assert Uncordon(node="w1").plan(site.talk()) == []
    assert Uncordon(node="w1", foreign=True).run(site.talk())
    assert not is_cordoned(node_of(site.api, "w1"))
    assert not tainted()


def a_budget_that_never_allows(site: Site) -> None:
    for name in site.pods("w2"):
        site.api.delete("v1", "Pod", name, "default")
    site.until("they are on w1", lambda: len(site.pods("w1")) == 2)
    apply(site.machine, [promise("web", 2)])
    site.until("it is counted", lambda: site.counted("web", 2))
    with pytest.raises(UnfitHost) as caught:
        site.drain()
    assert "2 of 2 pods are Ready, 2 must be, 0 may go now: that never lets one go" in str(caught.value)
    assert not is_cordoned(node_of(site.api, "w1"))


def answers_to_evictions(site: Site) -> None:
    name = site.pods("w1")[0]
    status, answer = evicted(site.api, name)
    assert (status, "DisruptionBudget" in reasons(answer)) == (429, True), answer
    assert evicted(site.api, "nobody")[0] == 404
    apply(site.machine, [promise("another", 1)])
    status, answer = evicted(site.api, name)
    assert (status, "more than one PodDisruptionBudget" in answer["message"]) == (500, True), answer
    for one in ("web", "another"):
        site.api.delete("policy/v1", "PodDisruptionBudget", one, "default")
    status, answer = evicted(site.api, name, uid="00000000-0000-0000-0000-000000000000")
    assert status == 409, answer
    leaving = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}}
    held = bare("held", NEVER)
    held["metadata"]["namespace"] = "leaving"
    held["spec"]["serviceAccountName"] = "default"
    apply(site.machine, [leaving])
    site.until("it has an account", lambda: site.api.get("v1", "ServiceAccount", "default", "leaving"))
    apply(site.machine, [held])
    site.api.delete("v1", "Namespace", "leaving")
    status, answer = evicted(site.api, "held", namespace="leaving")
    print(f"\nin a namespace that goes: {status} {json.dumps(answer)}")
    assert (status, "NamespaceTerminating" in reasons(answer)) == (403, True) or status in (200, 201), answer
    site.api.patch(held, {"metadata": {"finalizers": None}})
    site.api.answer("DELETE", "/api/v1/namespaces/leaving/pods/held", {"gracePeriodSeconds": 0})


def finalizers_that_never_end(site: Site) -> None:
    site.api.delete("apps/v1", "Deployment", "web", "default")
    site.until("nothing is there", lambda: not site.pods("w1"))
    site.api.create(bare("stuck", NEVER))
    with pytest.raises(DeadlineExceeded) as caught:
        site.drain(force=True, deadline=4.0)
    assert caught.value.evidence[0].endswith(f"finalizers hold it that nobody has taken away: {NEVER}")
    assert not is_cordoned(node_of(site.api, "w1"))
    site.api.patch(bare("stuck"), {"metadata": {"finalizers": None}})
    site.until("it has gone", lambda: not site.pods("w1"))


def a_dead_host(site: Site) -> None:
    site.kubelets.deaf = True
    site.api.create(bare("alone"))
    site.api.create(bare("ending"))
    site.api.delete("v1", "Pod", "ending", "default")
    assert site.pods("w1") == ["alone", "ending"]
    assert site.drain(dead=True, deadline=5.0) == ["cordon w1", "pod default/alone", "pod default/ending"]
    assert site.pods("w1") == []
