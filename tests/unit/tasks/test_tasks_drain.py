"""Cordon, drain, uncordon: what the plan says, what a drain that is given up leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.cluster import evicting
from kubeforge.cluster.cordon import cordoned_by, is_cordoned
from kubeforge.cluster.draining import DrainOptions
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.errors import ApiError, ApiUnavailable, DeadlineExceeded, InputError, Interrupted, UnfitHost
from kubeforge.operations.model import Observation
from kubeforge.tasks import drain as tasks
from kubeforge.tasks.drain import Cordon, Drain, Uncordon, nodes_of
from kubeforge.tasks.drain_options import options_of
from tests.unit.draining_api import DrainableApi, budget, node, pod
from tests.unit.tasks.memory_api import FixedAccess

Make = Callable[..., Any]
SHORT = DrainOptions(deadline=0.3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evicting, "_AGAIN", 0.0)
    monkeypatch.setattr(tasks, "API_DEADLINE", 0.3)


@pytest.fixture
def talk(site: Make) -> Make:
    """Return `talk(api)`: a conversation of the first control plane, and what was said in it."""

    def make(api: DrainableApi, **values: Any) -> tuple[Conversation, list[str]]:
        made, said = site(), list[str]()
        made.vault.once("cluster.access", lambda: FixedAccess(api))

        def heard(event: Any) -> None:
            if isinstance(event, ActionSaid):
                said.append(event.message)

        given: dict[str, Any] = {
            "context": made.context("cp1", tasks.drain),
            "title": "t",
            "expected": Observation(),
            "pending": False,
            "connect": lambda host: made.hosts[host],
            "events": Events([heard]),
            "stopping": lambda: False,
            "run_id": "r1",
        }
        return Conversation(**{**given, **values}), said

    return make


def titles(changes: Any) -> list[str]:
    return [change.title for change in changes]


def test_the_plan_lists_the_cordon_and_each_pod(talk: Make) -> None:
    ending, kept = pod("b", deletionTimestamp="now"), budget(allowed=0, expected=3)
    api = DrainableApi.of(node(), pod("a"), ending, kept, stuck={"b"})
    run, _ = talk(api)
    changes = Drain(node="w1").plan(run)
    assert titles(changes) == ["cordon w1", "pod default/a", "pod default/b"]
    assert changes[1].why.startswith("ReplicaSet web-5d brings up another; waits for budget default/web")
    assert api.calls == []
    assert not is_cordoned(api.node())


def test_run_does_what_the_plan_says_and_the_second_changes_nothing(talk: Make) -> None:
    api = DrainableApi.of(node(), pod("a"), pod("b"), pod("c", on="w2"))
    run, said = talk(api)
    planned = Drain(node="w1").plan(run)
    assert titles(Drain(node="w1").run(run)) == titles(planned)
    assert api.pods == ["c"]
    assert cordoned_by(api.node()) == "r1"
    assert "pod default/a: gone after 0 s" in said
    assert Drain(node="w1").plan(run) == []


def test_a_lasting_drain_leaves_a_persons_cordon(talk: Make) -> None:
    api = DrainableApi.of(node(), pod("a"))
    run, _ = talk(api)
    Drain(node="w1", lasting=True).run(run)
    assert is_cordoned(api.node())
    assert cordoned_by(api.node()) is None
    assert Drain(node="w1", lasting=True).plan(run) == []
    assert Uncordon(node="w1").plan(run) == []


def test_refused_pods_are_named_with_what_lets_them_go(talk: Make) -> None:
    scratch = [{"name": "scratch", "emptyDir": {}}]
    api = DrainableApi.of(node(), pod("a"), pod("b", owner=None), pod("c", volumes=scratch))
    run, _ = talk(api)
    for step in (Drain(node="w1").plan, Drain(node="w1").run):
        with pytest.raises(UnfitHost, match=r"pods that a drain must not touch \(2\); nothing was done") as caught:
            step(run)
        assert caught.value.evidence == (
            "default/b: no controller brings it up again",
            "default/c: what is in its emptyDir would be lost: scratch",
            "the others would be evicted: default/a",
        )
        assert "--force" in str(caught.value.remedy)
        assert "--delete-local-storage" in str(caught.value.remedy)
    assert not is_cordoned(api.node())
    assert api.calls == []


def test_a_deadline_puts_the_node_back(talk: Make) -> None:
    api = DrainableApi.of(node(), pod("a", finalizers=["example.com/never"]))
    run, said = talk(api)
    with pytest.raises(DeadlineExceeded) as caught:
        Drain(node="w1", options=SHORT).run(run)
    assert "example.com/never" in caught.value.evidence[0]
    assert not is_cordoned(api.node())
    assert "taints" not in api.node()["spec"]
    assert said[-1] == "the drain is given up: node w1 is uncordoned again"


def test_a_drain_given_up_leaves_a_persons_cordon(talk: Make) -> None:
    api = DrainableApi.of(node(cordoned=True), pod("a"), stuck={"a"})
    run, _ = talk(api)
    with pytest.raises(DeadlineExceeded):
        Drain(node="w1", options=SHORT).run(run)
    assert is_cordoned(api.node())


def test_a_killed_runs_cordon_is_taken_over_and_taken_back(talk: Make) -> None:
    api = DrainableApi.of(node(by="r0"), pod("a"), stuck={"a"})
    run, _ = talk(api)
    assert titles(Drain(node="w1").plan(run)) == ["pod default/a"]
    with pytest.raises(DeadlineExceeded):
        Drain(node="w1", options=SHORT).run(run)
    assert not is_cordoned(api.node())


def test_ctrl_c_puts_the_node_back_although_it_was_pressed(talk: Make) -> None:
    api = DrainableApi.of(node(), pod("a"), stuck={"a"})
    run, _ = talk(api, stopping=lambda: is_cordoned(api.node()))
    with pytest.raises(Interrupted):
        Drain(node="w1").run(run)
    assert not is_cordoned(api.node())


def test_a_pod_that_came_with_the_cordon_is_refused_and_the_node_put_back(talk: Make) -> None:
    class Late(DrainableApi):
        def patch(self, obj: Any, change: Any) -> Any:
            self.objects_["v1", "Pod", "default", "late"] = pod("late", owner=None)
            return super().patch(obj, change)

    api = Late(objects_=DrainableApi.of(node(), pod("a")).objects_)
    run, _ = talk(api)
    with pytest.raises(UnfitHost, match=r"must not touch \(1\); the node is put back"):
        Drain(node="w1").run(run)
    assert not is_cordoned(api.node())


def test_pods_that_tolerate_the_cordon_do_not_keep_it_for_ever(talk: Make) -> None:
    class Again(DrainableApi):
        def answer(self, method: str, path: str, body: Any) -> Any:
            name = f"t{len(self.calls)}"
            self.objects_["v1", "Pod", "default", name] = pod(name)
            return super().answer(method, path, body)

    api = Again(objects_=DrainableApi.of(node(), pod("a")).objects_)
    run, said = talk(api)
    Drain(node="w1").run(run)
    assert said[-1].startswith("warning: pod default/t1 has come although the node is cordoned")


def test_an_api_that_is_away_for_good_does_not_hide_that_the_node_stays_cordoned(talk: Make) -> None:
    api = DrainableApi.of(node(), pod("a"), stuck={"a"})
    run, said = talk(api)

    def lost() -> bool:
        if is_cordoned(api.node()):
            api.errors = [ApiUnavailable("the API server does not answer")] * 1000
        return False

    with pytest.raises(DeadlineExceeded):
        Drain(node="w1", options=SHORT).run(replace(run, stopping=lost))
    assert said[-1].startswith("warning: node w1 stays cordoned: the API answers: not within")
    assert said[-1].endswith("kubeforge uncordon w1")


def test_a_silent_node_is_warned_of(talk: Make) -> None:
    run, said = talk(DrainableApi.of(node(ready=False), pod("a")))
    Drain(node="w1").plan(run)
    assert said == ["warning: node w1 is not Ready: nobody will say that its pods have ended"]


def test_a_host_that_is_said_to_be_dead_and_reports_is_warned_of(talk: Make) -> None:
    run, said = talk(DrainableApi.of(node(), pod("a")))
    Drain(node="w1", options=DrainOptions(dead=True)).plan(run)
    assert len(said) == 1
    assert said[0].startswith("warning: node w1 is Ready, as the cluster sees it")


def test_a_dead_host_is_drained_of_everything(talk: Make) -> None:
    api = DrainableApi.of(node(ready=False), pod("a", owner=None), stuck=set())
    run, said = talk(api)
    dead = Drain(node="w1", options=DrainOptions(deadline=2.0, dead=True))
    assert titles(dead.plan(run)) == ["cordon w1", "pod default/a"]
    dead.run(run)
    assert api.pods == []
    assert not [word for word in said if word.startswith("warning")]


def test_a_node_that_is_not_there(talk: Make) -> None:
    run, _ = talk(DrainableApi.of(node()))
    for action in (Drain(node="w9"), Cordon(node="w9"), Uncordon(node="w9")):
        with pytest.raises(ApiError, match="no node w9"):
            action.plan(run)


def test_cordon(talk: Make) -> None:
    api = DrainableApi.of(node())
    run, _ = talk(api)
    action = Cordon(node="w1", lasting=True)
    assert titles(action.plan(run)) == titles(action.run(run)) == ["cordon w1"]
    assert action.plan(run) == []
    assert action.run(run) == []
    assert cordoned_by(api.node()) is None


def test_a_person_makes_our_cordon_theirs(talk: Make) -> None:
    api = DrainableApi.of(node(by="r0"))
    run, _ = talk(api)
    assert Cordon(node="w1").plan(run) == []
    (change,) = Cordon(node="w1", lasting=True).plan(run)
    assert change.why == "run r0 did that for a while; now it stays so"


@pytest.mark.parametrize(
    ("before", "foreign", "planned"),
    [
        (node(), True, []),
        (node(cordoned=True), False, []),
        (node(cordoned=True), True, ["uncordon w1"]),
        (node(by="r0"), False, ["uncordon w1"]),
    ],
)
def test_uncordon(talk: Make, before: Any, foreign: bool, planned: list[str]) -> None:
    api = DrainableApi.of(before)
    run, _ = talk(api)
    action = Uncordon(node="w1", foreign=foreign)
    assert titles(action.plan(run)) == planned
    assert titles(action.run(run)) == planned
    assert action.plan(run) == []


def test_uncordon_follows_a_cordon_of_the_same_plan(talk: Make) -> None:
    run, _ = talk(DrainableApi.of(node()), expected=Observation(changed=frozenset({"cordon w1"})))
    assert titles(Uncordon(node="w1").plan(run)) == ["uncordon w1"]


def test_whom_the_tasks_are_about(site: Make) -> None:
    made = site()
    named = made.context("cp1", tasks.drain, vars={"nodes": "w1, w9,w1"})
    assert nodes_of(named) == ("w1", "w9")
    assert nodes_of(made.context("w2", tasks.drain)) == ("w2",)
    assert nodes_of(made.context("cp1", tasks.drain, vars={"nodes": "kube_node,cp1"})) == ("w1", "w2", "cp1")
    assert [item.title for item in tasks.drain(named)] == ["drain w1", "drain w9"]
    own = made.context("w2", tasks.drain)
    assert list(tasks.drain(own)) == [Drain(node="w2")]
    assert list(tasks.uncordon(own)) == [Uncordon(node="w2")]
    assert next(iter(tasks.uncordon(named))) == Uncordon(node="w1", foreign=True)
    assert list(tasks.cordon(own)) == [Cordon(node="w2", lasting=True)]


def test_a_host_that_is_no_node_is_left_alone(site: Make) -> None:
    assert nodes_of(site(etcd_hosts=3).context("e1", tasks.drain)) == ()


def test_options_are_read() -> None:
    read = options_of({"drain_grace": "5", "drain_deadline": "2m", "drain_force": "yes", "drain_dead": False})
    assert read == DrainOptions(grace=5, deadline=120.0, force=True)
    assert options_of({}) == DrainOptions()


def test_every_option_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError) as caught:
        options_of({"drain_grace": "soon", "drain_force": "perhaps"})
    assert [problem.field for problem in caught.value.problems] == ["drain_grace", "drain_force"]
