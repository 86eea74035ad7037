"""Which versions may follow which is said before anything is touched. On hosts in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.documents import dump
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.errors import ApiUnavailable, UnfitHost
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Observation
from kubeforge.spec.releases import release
from kubeforge.tasks import upgrade

Make = Callable[..., Any]


def runs(made: Any, host: str, version: str, etcd: str | None = None) -> Any:
    """Have a control plane run other versions than cluster.yml says."""
    tags = dict.fromkeys(("kube-apiserver", "kube-controller-manager", "kube-scheduler"), f"v{version}")
    tags["etcd"] = f"{etcd or release(version).etcd}-0"
    for name, tag in tags.items():
        pod = {"spec": {"containers": [{"image": f"registry.example:5000/{name}:{tag}@sha256:00"}]}}
        made.hosts[host].put(manifest_path(name), dump(pod).encode())
    made.begin()
    return made


class Nodes:
    """An API that knows nodes by name and the version of their kubelets; without any it does not answer."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions

    def objects(self, version: str, kind: str) -> list[Any]:
        assert (version, kind) == ("v1", "Node")
        if not self.versions:
            raise ApiUnavailable("nobody answers")
        return [
            {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": f"v{version}"}}}
            for name, version in self.versions.items()
        ]


def planned(made: Any, monkeypatch: pytest.MonkeyPatch, api: Nodes) -> list[str]:
    """Plan the check on cp1; return what was said."""
    said: list[Any] = []
    monkeypatch.setattr(upgrade, "api_of", lambda _run: api)
    (action,) = made.ask("cp1", upgrade.check)
    talk = Conversation(
        context=made.context("cp1", upgrade.check),
        title="t",
        expected=Observation(),
        pending=False,
        connect=lambda host: made.hosts[host],
        events=Events([said.append]),
        stopping=lambda: False,
    )
    assert action.plan(talk) == []
    return [event.message for event in said]


@pytest.mark.parametrize("now", ["1.35.4", "1.36.0", "1.36.3"])
def test_one_minor_up_or_a_later_patch_is_fine(site: Make, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    made = runs(site(kubernetes="1.36.3"), "cp1", now)
    assert upgrade.running(made.context("cp1", upgrade.check), "cp1")["kube-apiserver"] == now
    assert planned(made, monkeypatch, Nodes(cp1=now, w1="1.33.1")) == []


@pytest.mark.parametrize(
    ("now", "etcd", "told", "remedy"),
    [
        ("1.34.9", "3.6.16", "kube-scheduler: from 1.34.9 to 1.36.3 are 2 minors", "a patch of 1.35 first"),
        ("1.36.4", "3.6.16", "kube-apiserver: 1.36.3 is older than 1.36.4", "back to 1.36.4"),
        ("1.37.0", "3.7.0", "etcd: etcd 3.6.16 is older than 3.7.0", "back to 1.37.0"),
        ("1.35.4", "3.5.30", "etcd: every etcd member must be 3.5.32 or newer", "a patch of 1.35 first"),
    ],
)
def test_what_cannot_follow_is_refused(site: Make, now: str, etcd: str, told: str, remedy: str) -> None:
    made = runs(site(kubernetes="1.36.3"), "cp1", now, etcd)
    with pytest.raises(UnfitHost, match="nothing was changed") as raised:
        made.ask("cp1", upgrade.check)
    assert any(told in line for line in raised.value.evidence)
    assert remedy in str(raised.value.remedy)


def test_workers_and_new_clusters_say_nothing(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site(control_planes=2, workers=1)
    assert made.ask("w1", upgrade.check) == made.ask("cp2", upgrade.check) == []
    assert planned(made, monkeypatch, Nodes()) == []


def test_a_kubelet_that_would_be_left_behind_is_named(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = runs(site(kubernetes="1.36.3"), "cp1", "1.35.4")
    with pytest.raises(UnfitHost, match="kubelets would be too old") as raised:
        planned(made, monkeypatch, Nodes(cp1="1.35.4", w1="1.32.9"))
    assert [line.partition(":")[0] for line in raised.value.evidence] == ["w1"]


def test_an_api_that_is_silent_is_no_reason_to_stop(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-done upgrade is gone on with, also while nobody answers."""
    made = runs(site(kubernetes="1.36.3"), "cp1", "1.35.4")
    assert "nobody answers" in planned(made, monkeypatch, Nodes())[0]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"spec: {containers: [{image: registry/x}]}", b"\xff"])
def test_a_manifest_that_tells_nothing_is_left_out(site: Make, text: bytes) -> None:
    made = site()
    made.hosts["cp1"].put(manifest_path("kube-apiserver"), text)
    made.begin()
    assert upgrade.running(made.context("cp1", upgrade.check), "cp1") == {}
