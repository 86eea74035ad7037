"""A static pod that was put back has to answer, as far as the API server beside it lets it. On hosts in memory."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.documents import Object
from kubeforge.errors import DeadlineExceeded
from kubeforge.manifests.control_plane import API_SERVER, SCHEDULER
from kubeforge.tasks import rolled_back
from kubeforge.tasks.control_plane import api_server_of
from kubeforge.tasks.rolled_back import PodServes
from tests.unit.tasks.rolling_site import Make, talk


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Components that run and do not answer."""
    names: set[str] = set()

    def lacks_answer(_remote: Any, pod: Object, **_: Any) -> str | None:
        name: str = pod["metadata"]["name"]
        return f"{name} says 500" if name in names else None

    monkeypatch.setattr(rolled_back, "lacks_command", lambda *_, **__: None)
    monkeypatch.setattr(rolled_back, "lacks_answer", lacks_answer)
    monkeypatch.setattr(rolled_back, "component_log", lambda _remote, name: [f"log of {name}"])
    monkeypatch.setattr(rolled_back, "forget", lambda *_: None)
    monkeypatch.setattr(rolled_back, "COMPONENT_DEADLINE", 0.01)
    return names


def test_a_scheduler_whose_api_server_does_not_start_has_to_run_only(living_site: Make, silent: set[str]) -> None:
    """It asks the API server beside it, and that is put back after it."""
    run = talk(living_site(), "cp1")
    action = PodServes(component=SCHEDULER, server=api_server_of(run.context))
    silent |= {SCHEDULER, API_SERVER}
    action.run(run)
    silent.remove(API_SERVER)
    with pytest.raises(DeadlineExceeded, match="kube-scheduler says 500"):
        action.run(run)


def test_it_has_to_answer_where_no_api_server_is_put_back(living_site: Make, silent: set[str]) -> None:
    silent |= {SCHEDULER, API_SERVER}
    with pytest.raises(DeadlineExceeded, match="kube-scheduler says 500"):
        PodServes(component=SCHEDULER).run(talk(living_site(), "cp1"))


def test_it_has_to_answer_once_the_api_server_does(living_site: Make, silent: set[str]) -> None:
    run = talk(living_site(), "cp1")
    action = PodServes(component=API_SERVER, clients=(SCHEDULER,))
    action.run(run)
    silent.add(SCHEDULER)
    with pytest.raises(DeadlineExceeded, match="kube-scheduler says 500") as caught:
        action.run(run)
    assert caught.value.evidence == ("log of kube-scheduler",)
