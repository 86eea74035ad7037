"""max_fail_percentage with serial is of each batch, as in Ansible; max_failures is of the whole play.

What is expected of Ansible's keyword was seen with ansible-core: two plays over four local hosts, some of which fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.engine.events import Stopping
from kubeforge.errors import OperationFailed

HOSTS = ("h1", "h2", "h3", "h4")


def ran(make: Callable[..., Any], wait: Any, keys: str, *bad: str, away: tuple[str, ...] = ()) -> list[str]:
    """Return who did the first play's last task, then who did the second play's."""
    world = make(*HOSTS)
    for name in away:
        world.hosts[name].unreachable = True

    def fail(run: Any) -> None:
        if run.remote.host in bad:
            raise OperationFailed("no")

    for name, body in (("a", fail), ("b", lambda _: None)):
        world.task(name, lambda _, name=name, body=body: [wait(name, world.journal, needed=lambda _: True, body=body)])
    text = f"- {{play: A, hosts: all, {keys}, tasks: [a]}}\n- {{play: B, hosts: all, max_failures: 4, tasks: [b]}}"
    with world.session(text) as session:
        session.apply(session.plan())
    return sorted(entry.replace(" ", "") for entry in world.journal)


REST = ["h2a", "h2b", "h3a", "h3b", "h4a", "h4b"]


@pytest.mark.parametrize(
    ("keys", "bad", "expected"),
    [
        ("serial: 2, max_fail_percentage: 50", ["h1"], REST),  # reached, not exceeded
        ("serial: 2, max_fail_percentage: 50", ["h1", "h3"], ["h2a", "h2b", "h4a", "h4b"]),  # of each batch
        ("serial: 2, max_fail_percentage: 49", ["h1"], ["h2a"]),
        ("serial: 2, max_fail_percentage: 49", ["h3"], ["h1a", "h2a", "h4a"]),
        ("serial: 1, max_fail_percentage: 100", ["h1"], []),  # a batch that failed wholly
        ("serial: 2, max_fail_percentage: 100", ["h1", "h2"], []),
        ("max_fail_percentage: 25", ["h1"], REST),
        ("max_fail_percentage: 24", ["h1"], ["h2a", "h3a", "h4a"]),
        ("serial: 2, max_failures: 25%", ["h1"], REST),  # of the play
        ("serial: 2, max_failures: 50%", ["h1", "h2"], ["h3a", "h3b", "h4a", "h4b"]),
        ("serial: 2, max_failures: 25%", ["h1", "h3"], ["h2a", "h4a"]),
    ],
)
def test_who_goes_on(make: Callable[..., Any], wait: Any, keys: str, bad: list[str], expected: list[str]) -> None:
    assert ran(make, wait, keys, *bad) == expected


def test_hosts_that_cannot_be_planned_count_in_the_batch_they_would_be_in(make: Callable[..., Any], wait: Any) -> None:
    assert ran(make, wait, "serial: 2, max_fail_percentage: 50", away=("h1",)) == REST
    assert ran(make, wait, "serial: 2, max_fail_percentage: 50", away=("h1", "h4")) == ["h2a", "h2b", "h3a", "h3b"]
    assert ran(make, wait, "serial: 2, max_fail_percentage: 49", away=("h1",)) == []
    assert ran(make, wait, "serial: 2, max_fail_percentage: 100", away=("h1", "h2")) == []
    left_out = "serial: 2, max_fail_percentage: 0, ignore_unreachable: true"
    assert ran(make, wait, left_out, away=("h1",)) == REST


def test_a_play_that_is_not_begun_for_what_failed_before_says_so(world: Any) -> None:
    world.hosts["w1"].fail["file /etc/a"] = 1
    plays = [
        {"play": "First", "hosts": "kube_node", "max_failures": 1, "tasks": ["files.write"]},
        {"play": "Second", "hosts": "kube_node", "tasks": [{"files.write": {"paths": ["/etc/c"]}}]},
    ]
    with world.session(json.dumps(plays)) as session:
        result = session.apply(session.plan())
    assert {left.play for left in result.remaining if left.host == "w2"} == {"Second"}
    told = "Second is not begun: more of its hosts have failed than it allows"
    assert [event.why for event in world.of(Stopping)] == [told]
