"""What one host does for all of a play: by whoever answers, and by the same one when a run is gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.resume import GoingOn, chosen, unfinished_hosts
from kubeforge.operations.command import Command

ONCE = {"run.it": {"name": "migrate"}, "run_once": True}
EACH = {"run.it": {"name": "each"}}


def play(**more: Any) -> dict[str, Any]:
    return {"play": "A", "hosts": "kube_node", **more}


@pytest.fixture
def site(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    world.task("run.it", lambda _, name: [Command(argv=(name,))])
    return world


@pytest.fixture
def run(site: Any) -> Callable[..., Any]:
    def run(*plays: dict[str, Any], **more: Any) -> Any:
        with site.session(json.dumps(plays), record=True, **more) as session:
            return session.apply(session.plan())

    return run


@pytest.fixture
def again(run: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def again(*plays: dict[str, Any], retry: bool = False) -> Any:
        last = chosen(tmp_path / "runs" / "default", "last", "playbook")
        return run(*plays, resume=GoingOn(last), within=unfinished_hosts(last) if retry else None)

    return again


def migrated(site: Any) -> list[str]:
    return [name for name, host in site.hosts.items() for title in host.acted if title == "command migrate"]


def test_another_host_does_it_where_the_first_is_away(site: Any, run: Callable[..., Any]) -> None:
    site.hosts["w1"].unreachable = True
    run(play(ignore_unreachable=True, tasks=[ONCE, EACH]))
    assert site.hosts["w2"].acted == ["command migrate", "command each"]


@pytest.mark.parametrize("retry", [True, False])
def test_a_run_that_goes_on_does_not_do_it_again(
    site: Any, run: Callable[..., Any], again: Callable[..., Any], *, retry: bool
) -> None:
    site.hosts["w2"].fail["command each"] = 1
    assert run(play(tasks=[ONCE, EACH])).failures
    site.hosts["w2"].fail.clear()
    assert again(play(tasks=[ONCE, EACH]), retry=retry).exit_code == 0
    assert migrated(site) == ["w1"]


def test_nor_does_the_first_host_that_came_back(site: Any, run: Callable[..., Any], again: Callable[..., Any]) -> None:
    site.hosts["w1"].unreachable = True
    text = play(ignore_unreachable=True, tasks=[ONCE, EACH])
    run(text)
    site.hosts["w1"].unreachable = False
    assert again(text).exit_code == 0
    assert migrated(site) == ["w2"]
    assert site.hosts["w1"].acted == ["command each"]


@pytest.mark.parametrize(
    "whole", [{"run_once": True, "tasks": [EACH | {"run.it": {"name": "migrate"}}]}, {"tasks": [ONCE]}]
)
def test_in_any_order_it_is_the_same_host(
    site: Any, run: Callable[..., Any], again: Callable[..., Any], whole: dict[str, Any]
) -> None:
    plays = play(order="shuffle", **whole), {"play": "B", "hosts": "cp1", "tasks": [EACH]}
    site.hosts["cp1"].fail["command each"] = 1
    run(*plays)
    for _ in range(10):
        again(*plays)
    assert len(migrated(site)) == 1
