"""Actions on a cluster that lives in dictionaries: objects, nodes, gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kubeforge.checks.model import Check
from kubeforge.cluster.kinds import Obj, key_of
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.engine.plan import PlannedChange
from kubeforge.errors import ApiError, ApiUnavailable, ConnectionFailed, DeadlineExceeded, UnfitHost
from kubeforge.operations.model import Observation, Verb
from kubeforge.secret import Secret
from kubeforge.spec.paths import KUBELET_SERVING_CURRENT
from kubeforge.tasks import checks, control_plane, etcd_runs, kubelet, nodes, objects
from kubeforge.tasks.objects import Objects
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from tests.unit.tasks.memory_api import FixedAccess, MemoryApi

Make = Callable[..., Any]


@pytest.fixture
def talk(site: Make) -> Callable[..., Conversation]:
    """Return the maker of conversations: `talk(host, task, api, changed)`."""

    def make(name: str, task: Any, api: MemoryApi | None, *, changed: bool = False, **spec: Any) -> Conversation:
        made = site(**spec)
        made.vault.once("cluster.access", lambda: FixedAccess(api))
        hosts: dict[str, MemoryHost] = made.hosts
        return Conversation(
            context=made.context(name, task),
            title="t",
            expected=Observation(changed=frozenset({"file /x"} if changed else ())),
            pending=changed,
            connect=lambda host: hosts[host],
            events=Events([]),
            stopping=lambda: False,
        )

    return make


def config_map(name: str, **data: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": data,
    }


WANTED = Objects(name="bootstrap.objects", objects=(config_map("a", x="1"), config_map("b", y="2")))


def test_objects_without_an_api_are_all_planned(talk: Make) -> None:
    changes = WANTED.plan(talk("cp1", nodes.ready, None))
    assert [change.title for change in changes] == ["object ConfigMap kube-system/a", "object ConfigMap kube-system/b"]
    assert all("once the API serves" in change.why for change in changes)


def test_objects_of_an_api_server_without_etcd_are_all_planned(talk: Make) -> None:
    """It answers /livez/ping, and nothing else: no plan could be made that would have mended etcd."""

    class Mute(MemoryApi):
        def get(self, *_: Any) -> Obj | None:
            raise ApiUnavailable("the API server does not answer: not within 15 s")

    changes = WANTED.plan(talk("cp1", nodes.ready, Mute()))
    assert [change.why for change in changes] == ["is applied once the API serves"] * 2


def test_objects_are_applied_once(talk: Make) -> None:
    api = MemoryApi()
    run = talk("cp1", nodes.ready, api)
    assert [change.verb for change in WANTED.plan(run)] == [Verb.CREATE, Verb.CREATE]
    assert [change.title for change in WANTED.run(run)] == [
        change.title for change in WANTED.plan(talk("cp1", nodes.ready, None))
    ]
    assert WANTED.plan(run) == []
    assert api.applied == ["a", "b"]


def test_an_object_changed_by_hand_is_put_right(talk: Make) -> None:
    api = MemoryApi()
    run = talk("cp1", nodes.ready, api)
    WANTED.run(run)
    api.objects_["v1", "ConfigMap", "kube-system", "a"]["data"]["x"] = "other"
    (change,) = WANTED.plan(run)
    assert (change.verb, change.why) == (Verb.UPDATE, "differs: data.x")
    WANTED.run(run)
    assert api.applied == ["a", "b", "a"]


def test_a_field_no_longer_wanted_shows(talk: Make) -> None:
    api = MemoryApi()
    run = talk("cp1", nodes.ready, api)
    Objects(name="o", objects=(config_map("a", x="1", gone="1"),)).run(run)
    (change,) = Objects(name="o", objects=(config_map("a", x="1"),)).plan(run)
    assert change.verb is Verb.UPDATE


def test_the_plan_shows_what_differs_inside(talk: Make) -> None:
    api = MemoryApi()
    run = talk("cp1", nodes.ready, api)
    WANTED.run(run)
    api.objects_["v1", "ConfigMap", "kube-system", "a"]["data"]["x"] = "other"
    (change,) = WANTED.plan(run)
    assert change.diff is not None
    gone = set(change.diff.before.splitlines()) - set(change.diff.after.splitlines())
    assert gone == {"  x: other"}


def test_no_secret_is_ever_shown(talk: Make) -> None:
    hidden: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "stringData": {}}
    held = config_map("c", x="1") | {"data": {"x": Secret("hunter2")}}
    action = Objects(name="o", objects=({**hidden, "stringData": {"password": "hunter2"}}, held))
    for api in (None, MemoryApi()):
        for change in action.plan(talk("cp1", nodes.ready, api)):
            shown = PlannedChange.of(change, "o")
            assert (shown.secret, shown.diff, shown.digest) == (True, None, None)
            assert "hunter2" not in repr(change)


@dataclass
class SharedApi(MemoryApi):
    """As server-side apply does: what others put in stays theirs."""

    def apply(self, obj: Obj) -> Obj:
        live = self.objects_.get(key_of(obj), {})
        kept = {**live.get("data", {}), **obj.get("data", {})}
        claims = live.get("metadata", {}).get("managedFields", [])
        merged = {**obj, "metadata": {**obj["metadata"], "managedFields": claims}, "data": kept}
        return super().apply(merged)


def test_what_somebody_added_goes_and_stays_away(talk: Make) -> None:
    api = SharedApi()
    run = talk("cp1", nodes.ready, api)
    WANTED.run(run)
    live = api.objects_["v1", "ConfigMap", "kube-system", "a"]
    live["data"]["more"] = "z"
    live["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "fieldsV1": {"f:data": {"f:more": {}}}}]
    (change,) = WANTED.plan(run)
    assert change.why == "differs: data.more (added by kubectl-edit)"
    assert change.diff is not None
    assert "more: z" in change.diff.before
    WANTED.run(run)
    assert api.objects_["v1", "ConfigMap", "kube-system", "a"]["data"] == {"x": "1"}
    assert WANTED.plan(run) == []


def test_what_cannot_be_changed_is_made_anew(talk: Make) -> None:
    def binding(role: str) -> Obj:
        group = "rbac.authorization.k8s.io"
        reference = {"apiGroup": group, "kind": "ClusterRole", "name": role}
        return {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": reference,
        }

    class Strict(MemoryApi):
        def apply(self, obj: Obj) -> Obj:
            live = self.objects_.get(key_of(obj))
            if live and live.get("roleRef") != obj["roleRef"]:
                raise ApiError("the API refused (422): cannot change roleRef", status=422, step="apply")
            return super().apply(obj)

    api = Strict()
    run = talk("cp1", nodes.ready, api)
    Objects(name="o", objects=(binding("admin"),)).run(run)
    action = Objects(name="o", objects=(binding("view"),))
    (change,) = action.plan(run)
    assert "roleRef cannot be changed, so it is deleted and made anew" in change.why
    action.run(run)
    assert action.plan(run) == []


@pytest.mark.parametrize("status", [403, 404, 409, 503])
def test_an_api_that_just_begins_to_serve_is_asked_again(
    talk: Make, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: "it still runs")
    error = ApiUnavailable("not yet") if status == 503 else ApiError("not yet", status=status, step="apply")
    api = MemoryApi(errors=[error, error])
    WANTED.run(talk("cp1", nodes.ready, api))
    assert sorted(api.applied) == ["a", "b"]


def test_an_api_server_whose_etcd_is_gone_is_ended(talk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kubelet waits for answers of it before it starts that etcd."""
    monkeypatch.setattr(etcd_runs, "_ABSENT", 0.0)
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: None)
    run = talk("cp1", nodes.ready, MemoryApi(errors=[ApiUnavailable("not within 15 s")] * 4))
    end = ("sh", "-c", etcd_runs._END, "sh", "kube-apiserver", "--advertise-address=192.0.2.11", "KILL")
    run.remote.commands[end] = Completed(0)
    WANTED.run(run)
    assert run.remote.ran.count(end) == 1


def test_a_host_that_reboots_while_objects_wait_is_no_fault(talk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise ConnectionFailed("no answer", host="cp1")

    monkeypatch.setattr(etcd_runs, "still_runs", away)
    api = MemoryApi(errors=[ApiUnavailable("not yet")] * 2)
    WANTED.run(talk("cp1", nodes.ready, api))
    assert sorted(api.applied) == ["a", "b"]


def test_a_real_refusal_is_not_tried_again(talk: Make) -> None:
    api = MemoryApi(errors=[ApiError("the API refused (422): no", status=422, step="apply")])
    with pytest.raises(ApiError, match="422"):
        WANTED.run(talk("cp1", nodes.ready, api))


def node(name: str, *, ready: bool = True, labels: dict[str, str] | None = None, taints: Any = None) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}, "resourceVersion": "7"},
        "spec": {"taints": taints} if taints else {},
        "status": {"conditions": [{"type": "Ready", "status": str(ready), "message": "cni plugin not initialized"}]},
    }


def with_node(**values: Any) -> MemoryApi:
    return MemoryApi(objects_={("v1", "Node", "", "w1"): node("w1", **values)})


def action_of(run: Conversation) -> nodes.NodeReady:
    (action,) = nodes.ready(run.context)
    assert isinstance(action, nodes.NodeReady)
    return action


def test_a_node_that_is_as_it_should_be(talk: Make) -> None:
    run = talk("w1", nodes.ready, with_node())
    run.remote.put(KUBELET_SERVING_CURRENT, b"x")
    assert action_of(run).plan(run) == []


@pytest.mark.parametrize(
    ("api", "why"),
    [
        (MemoryApi(), "is not registered"),
        (with_node(ready=False), "is not Ready: cni plugin not initialized"),
        (None, "not known"),
    ],
)
def test_what_a_node_lacks(talk: Make, api: MemoryApi | None, why: str) -> None:
    run = talk("w1", nodes.ready, api)
    (change,) = action_of(run).plan(run)
    assert why in change.why


def test_labels_and_taints_are_set_while_waiting(talk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "NODE_DEADLINE", 0.3)
    spec = {"nodes": {"w1": {"labels": {"disk": "fast"}, "taints": [{"key": "only", "value": "me"}]}}}
    api = with_node()
    run = talk("w1", nodes.ready, api, **spec)
    with pytest.raises(DeadlineExceeded, match="serving certificate"):
        action_of(run).run(run)
    live = api.objects_["v1", "Node", "", "w1"]
    assert live["metadata"]["labels"] == {"disk": "fast"}
    assert live["spec"]["taints"] == [{"key": "only", "value": "me", "effect": "NoSchedule"}]


def test_a_host_that_dies_is_no_api_server_that_is_late(talk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was waited for as long as for an API server, three minutes, and then named as one."""
    monkeypatch.setattr(control_plane, "HOST_AWAY", 0.2)
    monkeypatch.setattr(control_plane, "_ASKED_EVERY", 0.1)
    run = talk("cp1", control_plane.ready, None, changed=True)
    run.remote.unreachable = True
    with pytest.raises(ConnectionFailed, match="cp1"):
        control_plane.ApiServes().run(run)


def test_the_controllers_wait_for_the_api_servers_own_roles(talk: Make) -> None:
    api = MemoryApi(refusals=3)
    action = control_plane.LeasesGranted()
    assert action.plan(talk("cp1", control_plane.ready, api)) == [], "of interest only while something is founded"
    assert len(action.plan(talk("cp1", control_plane.ready, api, changed=True))) == 1
    action.run(talk("cp1", control_plane.ready, api))
    assert api.asked == ["system:kube-scheduler"] * 4 + ["system:kube-controller-manager"]


@dataclass
class LeadingApi(MemoryApi):
    """A controller manager leads from the third look at its lease on."""

    looks: int = 0

    def get(self, version: str, kind: str, name: str, space: str | None = None) -> Obj | None:
        assert (kind, name, space) == ("Lease", "kube-controller-manager", "kube-system")
        self.looks += 1
        return {"spec": {"holderIdentity": "cp1_x"} if self.looks > 2 else {}} if self.looks > 1 else None


def test_a_worker_is_invited_once_somebody_would_sign(talk: Make) -> None:
    api = LeadingApi(refusals=1)
    run = talk("w1", kubelet.join, api, pki={"algorithm": "ECDSA-P256"})
    (action, _) = kubelet.join(run.context)
    assert isinstance(action, kubelet.TokenPresent)
    action.run(run)
    assert (api.applied, api.looks) == ([action.token.object_name], 3)
    action.run(run)
    assert len(api.applied) == 1, "one token for all workers of a run"


def gate(answers: Iterator[str | None], **settings: Any) -> checks.Gate:
    check = Check(name="dns", asks="DNS answers", ask=lambda _remote, _patience: next(answers))
    return checks.Gate(check=check, **settings)


def test_a_gate_that_passes_plans_nothing(talk: Make) -> None:
    assert gate(iter([None])).plan(talk("w1", checks.dns, MemoryApi())) == []


def test_a_gate_after_changes_is_not_asked_while_planning(talk: Make) -> None:
    (change,) = gate(iter([])).plan(talk("w1", checks.dns, MemoryApi(), changed=True))
    assert change.title == "checks.dns"


def test_a_gate_is_asked_until_it_passes(talk: Make) -> None:
    answers = iter(["refused", "refused", None])
    gate(answers).run(talk("w1", checks.dns, MemoryApi()))
    assert next(answers, "all asked") == "all asked"


def test_a_gate_that_never_passes_says_why_and_what_to_do(talk: Make) -> None:
    never = gate(iter(["refused"] * 99), deadline=0.2, remedy="mend it")
    with pytest.raises(DeadlineExceeded, match="DNS answers: not within 0 s; refused") as raised:
        never.run(talk("w1", checks.dns, MemoryApi()))
    assert (raised.value.host, raised.value.remedy) == ("w1", "mend it")


def test_whoever_runs_an_external_balancer_is_told_what_it_lacks(site: Make) -> None:
    made = site(workers=1, endpoint={"kind": "external", "address": "192.0.2.100"})
    (one,) = made.ask("w1", checks.endpoint)
    assert "the balancer at 192.0.2.100:6443 pass TCP on to 192.0.2.11:6443" in one.remedy
    (plane,) = made.ask("cp1", checks.endpoint)
    assert plane.remedy == one.remedy, "its own kubelet asks elsewhere, but kube-proxy and the pod network ask there"
    own = site(workers=1)
    (ours,) = own.ask("w1", checks.endpoint)
    assert ours.remedy is None
    assert own.ask("cp1", checks.endpoint) == []


def test_object_titles() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    assert objects.object_title(role) == "object ClusterRole r"


def test_unfit_is_not_a_bug() -> None:
    assert UnfitHost.exit_code != DeadlineExceeded.exit_code
