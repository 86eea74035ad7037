"""Pods on their way: what is told of each, what is named when one stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster import evicting
from kubeforge.cluster.draining import DrainOptions, read_pods
from kubeforge.cluster.evicting import evict_all
from kubeforge.errors import ApiError, ApiUnavailable, DeadlineExceeded, Interrupted
from tests.unit.draining_api import DrainableApi, budget, pod, refusal


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evicting, "_AGAIN", 0.0)


def drained(api: DrainableApi, options: DrainOptions | None = None, **values: Any) -> list[str]:
    """Evict everything that goes; return what was said."""
    options = options or DrainOptions(deadline=5.0)
    said: list[str] = []
    going = read_pods(api, "w1", options).going  # type: ignore[arg-type]  # a dictionary stands for the API
    evict_all(api, "w1", going, options, step="drain w1", say=said.append, **values)  # type: ignore[arg-type]
    return said


def given_up(api: DrainableApi, **values: Any) -> DeadlineExceeded:
    with pytest.raises(DeadlineExceeded) as caught:
        drained(api, DrainOptions(deadline=0.3), **values)
    return caught.value


def ticking(step: float) -> Callable[[], float]:
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_pods_are_evicted_by_uid_and_told_of() -> None:
    api = DrainableApi.of(pod("a"), pod("b"), pod("c", on="w2"))
    said = drained(api)
    assert api.pods == ["c"]
    method, path, body = api.calls[0]
    assert (method, path) == ("POST", "/api/v1/namespaces/default/pods/a/eviction")
    assert body["deleteOptions"] == {"preconditions": {"uid": "uid-a"}}
    assert said[:2] == ["pod default/a: evicted, has 30 s to end", "pod default/b: evicted, has 30 s to end"]
    assert sorted(said[2:]) == ["pod default/a: gone after 0 s", "pod default/b: gone after 0 s"]


def test_grace_is_handed_over() -> None:
    api = DrainableApi.of(pod("a"))
    drained(api, DrainOptions(deadline=5.0, grace=7))
    assert api.calls[0][2]["deleteOptions"]["gracePeriodSeconds"] == 7


def test_a_budget_is_waited_for_and_named() -> None:
    api = DrainableApi.of(pod("a"), pod("b"), budget(allowed=1, desired=1, expected=2))
    said = drained(api)
    assert api.pods == []
    kept = "budget default/web (minAvailable 1): 2 of 2 pods are Ready, 1 must be, 0 may go now"
    assert f"pod default/b: not yet: {kept}" in said
    assert said.count(f"pod default/b: not yet: {kept}") == 1


def test_a_budget_that_does_not_allow_is_in_the_evidence() -> None:
    error = given_up(DrainableApi.of(pod("a"), budget(allowed=0, desired=1, expected=2), refills=0))
    assert "1 of 1 are left, 1 of them refused" in error.cause
    assert error.evidence == (
        "default/a: budget default/web (minAvailable 1): 1 of 2 pods are Ready, 1 must be, 0 may go now",
    )


def test_finalizers_are_named() -> None:
    error = given_up(DrainableApi.of(pod("a", finalizers=["example.com/never"])))
    assert error.evidence[0].endswith("finalizers hold it that nobody has taken away: example.com/never")


def test_a_pod_within_its_time_is_told_from_one_whose_kubelet_is_silent() -> None:
    assert "has 30 s for it" in given_up(DrainableApi.of(pod("a"), stuck={"a"})).evidence[0]
    late = given_up(DrainableApi.of(pod("a"), stuck={"a"}), clock=ticking(40.0))
    assert late.evidence[0].endswith("30 s were its time: the node's kubelet does not say it is gone")


def test_a_pod_that_ends_already_is_only_waited_for() -> None:
    api = DrainableApi.of(pod("a", deletionTimestamp="now"))
    drained(api)
    assert (api.calls, api.pods) == ([], [])


def test_another_pod_under_the_same_name_is_not_waited_for() -> None:
    api = DrainableApi.of(pod("a"))
    going = read_pods(api, "w1", DrainOptions()).going  # type: ignore[arg-type]
    api.objects_["v1", "Pod", "default", "a"]["metadata"]["uid"] = "another"
    evict_all(api, "w1", going, DrainOptions(deadline=1.0), step="s")  # type: ignore[arg-type]
    assert (api.calls, api.pods) == ([], ["a"])


@pytest.mark.parametrize(
    "passing",
    [
        refusal(404, "not found"),
        refusal(409, "UID in precondition: uid-a"),
        refusal(429, "too many requests"),
        refusal(500, "This pod has more than one PodDisruptionBudget"),
        refusal(503, "etcd is away"),
        refusal(403, "is being terminated", "NamespaceTerminating"),
    ],
)
def test_what_passes_is_asked_again(passing: Any) -> None:
    api = DrainableApi.of(pod("a"), answers={"a": [passing]})
    drained(api)
    assert api.pods == []
    assert len(api.calls) == 2


def test_a_refusal_that_never_passes_ends_it() -> None:
    api = DrainableApi.of(pod("a"), answers={"a": [refusal(403, "may not create pods/eviction")]})
    with pytest.raises(ApiError, match="may not create pods/eviction") as caught:
        drained(api)
    assert caught.value.step == "drain w1"


def test_an_api_server_that_goes_is_waited_for() -> None:
    api = DrainableApi.of(pod("a"))
    going = read_pods(api, "w1", DrainOptions()).going  # type: ignore[arg-type]
    api.errors = [ApiUnavailable("the API server does not answer")] * 2
    evict_all(api, "w1", going, DrainOptions(deadline=5.0), step="s")  # type: ignore[arg-type]
    assert api.pods == []


def test_pods_of_a_dead_host_are_deleted_at_once() -> None:
    api = DrainableApi.of(pod("a", owner=None), pod("b", deletionTimestamp="now"), budget(allowed=0), refills=0)
    drained(api, DrainOptions(deadline=5.0, dead=True))
    assert api.pods == []
    assert [(method, body["gracePeriodSeconds"]) for method, _, body in api.calls] == [("DELETE", 0)]


def test_it_stops_where_it_is_told_to() -> None:
    def stop() -> None:
        raise Interrupted("stopped while waiting")

    with pytest.raises(Interrupted):
        drained(DrainableApi.of(pod("a"), stuck={"a"}), checkpoint=stop)
