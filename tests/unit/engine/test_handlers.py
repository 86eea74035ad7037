"""Handlers, delegation, once a play, order of turns, secrets in arguments: through a whole session."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine.model import Context
from kubeforge.errors import InputError
from kubeforge.inventory.model import Inventory
from kubeforge.operations import File, Restart
from kubeforge.operations.model import Observation
from kubeforge.operations.notified import stamp
from kubeforge.operations.package import Package
from kubeforge.secret import MASK, Secret
from kubeforge.transport.memory import RUNNING


def restart(context: Context, unit: str) -> Any:
    yield Restart(name=unit)


def secret(context: Context, path: str, content: str | Secret) -> Any:
    yield File(path=path, content=content if isinstance(content, Secret) else content.encode())


@pytest.fixture
def site(world: Any) -> Any:
    world.task("service.restart", restart)
    world.task("file.secret", secret)
    for host in world.hosts.values():
        host.overlay(Observation(units={"web.service": RUNNING}))
    return world


def play(**more: Any) -> str:
    return json.dumps([{"play": "A", "hosts": "all", **more}])


def write(path: str, **more: Any) -> dict[str, Any]:
    return {"files.write": {"paths": [path]}, **more}


RESTART = {"name": "again", "service.restart": {"unit": "web.service"}}


def test_a_handler_runs_where_something_changed(site: Any) -> None:
    text = play(tasks=[write("/etc/a"), write("/etc/b", notify="again")], handlers=[RESTART])
    site.hosts["w1"].put("/etc/b", b"x")
    with site.session(text) as session:
        plan = session.plan()
        assert session.apply(plan).exit_code == 0
        assert not session.plan()
    assert site.hosts["cp1"].acted == ["file /etc/a", "file /etc/b", "restart web.service"]
    assert site.hosts["w1"].acted == ["file /etc/a"], "/etc/b was as it shall be"
    why = [change.why for step in plan.steps for change in step.changes if change.title.startswith("restart")]
    assert why == ["changed: file /etc/b"] * 2


def test_a_package_that_notifies_ends_its_batch(site: Any) -> None:
    """It brings files that were not foretold; what follows is looked at again (ADR 96)."""
    site.task("package.present", lambda _, name: [Package(name=name)])
    tasks = [{"package.present": {"name": "web"}, "notify": "again"}, write("/etc/b")]
    with site.session(play(tasks=tasks, handlers=[RESTART]), limit="w1") as session:
        plan = session.plan()
        assert [step.step for step in plan.steps] == ["package.present", "files.write, service.restart"]
        assert session.apply(plan).exit_code == 0
    assert site.hosts["w1"].acted == ["package web", "file /etc/b", "restart web.service"]


def test_handlers_hear_of_each_other_in_their_order(site: Any) -> None:
    handlers = [{**write("/etc/b"), "name": "first", "notify": ["again"]}, RESTART]
    with site.session(play(tasks=[write("/etc/a", notify=["first"])], handlers=handlers)) as session:
        session.apply(session.plan())
    assert site.hosts["w2"].acted == ["file /etc/a", "file /etc/b", "restart web.service"]


def test_a_handler_that_a_dead_run_owed_is_made_good(site: Any) -> None:
    """The connection breaks while the file is written; the host goes on to the end of that change, and dies."""
    text = play(tasks=[write("/etc/b", notify="again")], handlers=[RESTART])
    host = site.hosts["w1"]
    host.reboot_at = 1
    with site.session(text, limit="w1") as session:
        assert session.apply(session.plan()).failures
    assert host.acted == ["file /etc/b"]
    with site.session(text, limit="w1") as session:
        (step,) = session.plan().steps
        assert [(change.title, change.why) for change in step.changes] == [
            ("restart web.service", "an earlier run owed it")
        ]
        session.apply(session.plan())
        assert not session.plan()
    assert host.acted == ["file /etc/b", "restart web.service"]


def test_actions_are_handlers_too(site: Any, wait: Any) -> None:
    done = wait("waited", site.journal, needed=lambda _: True)
    site.task("wait.it", lambda _: [done])
    handler = {"name": "again", "wait.it": None}
    with site.session(play(tasks=[write("/etc/b", notify="again")], handlers=[handler]), limit="w1") as session:
        session.apply(session.plan())
        assert site.journal == ["w1 waited"]
    with site.session(play(tasks=[write("/etc/b", notify="again")], handlers=[handler]), limit="w1") as session:
        assert not session.plan()


def test_one_that_has_nothing_to_do_is_done_with_all_the_same(site: Any, wait: Any) -> None:
    """As debug.say, which spoke at every later run: its stamp stayed."""
    site.task("wait.it", lambda _: [wait("waited", site.journal, needed=lambda _: False)])
    text = play(tasks=[write("/etc/b", notify="again")], handlers=[{"name": "again", "wait.it": None}])
    with site.session(text, limit="w1") as session:
        plan = session.plan()
        assert [step.step for step in plan.steps][-1] == "waited"
        assert session.apply(plan).exit_code == 0
    assert site.hosts["w1"].state.paths[stamp("waited")] is None
    with site.session(text, limit="w1") as session:
        assert not session.plan()


def test_what_an_action_changed_is_heard(site: Any, wait: Any) -> None:
    done = wait("waited", site.journal, needed=lambda _: True)
    site.task("wait.it", lambda _: [done])
    with site.session(play(tasks=[{"wait.it": None, "notify": "again"}], handlers=[RESTART]), limit="w1") as session:
        session.apply(session.plan())
    assert site.hosts["w1"].acted == ["restart web.service"]


def test_variables_may_be_templates(site: Any) -> None:
    given = {"port": 80, "url": "http://{{ inventory_hostname }}:{{ port }}", "all": ["{{ url }}/a"], "me": "{{ me }}"}
    calls = [{"file.secret": {"path": "/etc/a", "content": "{{ all[0] }} {{ port }}"}, "vars": {"port": 81}}]
    with site.session(play(tasks=calls, vars=given), limit="w1") as session:
        session.apply(session.plan())
    assert site.hosts["w1"].file("/etc/a") == b"http://w1:81/a 81"
    with site.session(play(tasks=[write("/etc/{{ me }}")], vars=given), limit="w1") as session:
        (failure,) = session.plan().failures
    assert "the variable me needs itself" in failure.cause


def test_variables_of_the_command_line_are_over_those_of_tasks(site: Any) -> None:
    text = play(tasks=[write("/etc/{{ name }}", vars={"name": "task"})], vars={"name": "play"})
    with site.session(text, limit="w1", variables={"name": "line"}) as session:
        session.apply(session.plan())
    assert site.hosts["w1"].acted == ["file /etc/line"]


def test_once_a_play_and_in_which_order(site: Any) -> None:
    text = play(order="reverse_inventory", serial=1, tasks=[write("/etc/a", run_once=True), write("/etc/b")])
    with site.session(text) as session:
        plan = session.plan()
    assert [(step.host, len(step.changes)) for step in plan.steps] == [("w2", 2), ("w1", 1), ("cp1", 1)]


def test_work_that_is_done_on_another_host(site: Any) -> None:
    call = write("/etc/{{ inventory_hostname }}", delegate_to="{{ groups.kube_control_plane[0] }}", notify="again")
    text = json.dumps([{"play": "A", "hosts": "kube_node", "tasks": [call], "handlers": [RESTART]}])
    with site.session(text) as session:
        plan = session.plan()
        assert session.apply(plan).exit_code == 0
        assert not session.plan()
    assert sorted(site.hosts["cp1"].acted) == ["file /etc/w1", "file /etc/w2"]
    assert site.hosts["w1"].acted == ["restart web.service"], "who is told of the change is whose turn it is"
    assert plan.steps[0].changes[0].title == "file /etc/w1 on cp1"
    assert plan.steps[0].host == "w1"


def test_delegating_to_nobody(site: Any) -> None:
    with pytest.raises(InputError) as caught:
        site.session(play(tasks=[write("/etc/a", delegate_to="w11")]))
    assert "has no host w11 (did you mean w1?)" in str(caught.value)
    with site.session(play(tasks=[write("/etc/a", delegate_to="{{ 'w' ~ 9 }}")])) as session:
        failures = session.plan().failures
    assert "has no host w9" in failures[0].cause
    assert failures[0].evidence == ("playbook.yml:1",)


def test_this_machine_and_root_by_sudo(site: Any) -> None:
    text = play(become=True, tasks=["files.write", write("/etc/a", delegate_to="localhost", run_once=True)])
    with site.session(text) as session:
        hosts = session.inventory.hosts
    assert hosts["localhost"].connection.kind == "local"
    assert all(host.connection.become for name, host in hosts.items() if name != "localhost")
    assert "localhost" not in session.who.everyone


def test_a_secret_makes_what_it_is_printed_into_a_secret(site: Any) -> None:
    inventory = site.inventory
    hosts = {name: replace(host, vars={"pw": Secret("hunter22")}) for name, host in inventory.hosts.items()}
    site.inventory = Inventory(hosts=hosts, groups=inventory.groups)
    call = {"file.secret": {"path": "/etc/a", "content": "password={{ pw }}\n"}}
    with site.session(play(tasks=[call]), limit="w1") as session:
        plan = session.plan(diff=True)
        session.apply(plan)
    change = plan.steps[0].changes[0]
    assert (change.secret, change.diff, change.digest) == (True, None, None)
    assert "hunter22" not in json.dumps(plan.to_data()) + str(site.events)
    assert site.hosts["w1"].file("/etc/a") == b"password=hunter22\n"
    whole = {"file.secret": {"path": "/etc/a", "content": "{{ pw ~ '!' }}"}}
    with site.session(play(tasks=[whole]), limit="w1") as session:
        (failure,) = session.plan().failures
    assert "a secret is taken apart" in failure.cause
    assert MASK not in failure.cause
