"""`become` and `become_user` in plays and tasks: who does what, how hosts are entered for it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.engine.becoming import enters_as_root, raised, user_of
from kubeforge.engine.events import ActionSaid
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.engine.playbook import TaskCall
from kubeforge.errors import InputError
from kubeforge.inventory.model import Connection, Inventory
from kubeforge.operations.becoming import LOGIN, as_user
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost

OPS = Connection(address="192.0.2.1", user="ops")
ROOT = Connection(address="192.0.2.1", user="root")
SUDO = Connection(address="192.0.2.1", user="ops", become=True)
APP = replace(SUDO, become_user="app")
FOR_APP = replace(SUDO, own_user="app", asked_user="app")


def call(become: bool | None = None, user: str = "") -> TaskCall:
    return TaskCall(name="x", become=become, become_user=user)


@pytest.mark.parametrize(
    ("connection", "said", "entered", "user"),
    [
        (OPS, call(), OPS, ""),
        (OPS, call(False), OPS, ""),
        (OPS, call(True), replace(SUDO, own_user=""), ""),
        (OPS, call(True, "deploy"), replace(SUDO, own_user=""), "deploy"),
        (OPS, call(True, "root"), replace(SUDO, own_user=""), ""),
        (SUDO, call(), SUDO, ""),
        (SUDO, call(False), SUDO, LOGIN),
        (SUDO, call(True, "deploy"), SUDO, "deploy"),
        (APP, call(True), APP, ""),
        (APP, call(True, "deploy"), FOR_APP, "deploy"),
        (APP, call(False), FOR_APP, LOGIN),
        (replace(OPS, become_user="app"), call(True), replace(FOR_APP, own_user=""), "app"),
        (replace(ROOT, become_user="app"), call(True), replace(ROOT, become_user="app"), "app"),
        (ROOT, call(True), ROOT, ""),
        (ROOT, call(True, "deploy"), ROOT, "deploy"),
        (ROOT, call(False), ROOT, ""),
    ],
)
def test_who_does_a_call(connection: Connection, said: TaskCall, entered: Connection, user: str) -> None:
    assert raised(connection, [said]) == entered
    assert user_of(said, entered, said.become_user) == user


def test_what_says_nothing_stays_with_whom_the_inventory_names() -> None:
    others = [call(True, "deploy")]
    assert user_of(call(), raised(OPS, others), "") == LOGIN
    assert user_of(call(), raised(APP, others), "") == user_of(call(True), raised(APP, others), "") == "app"
    assert user_of(call(), raised(SUDO, others), "") == ""
    assert raised(raised(APP, others), others) == raised(APP, others), "twice is once"


def test_this_machine_is_entered_as_whoever_runs_us(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Connection(kind="local", address="localhost")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not enters_as_root(here)
    assert enters_as_root(replace(here, become=True))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert enters_as_root(here)


class Look(Action):
    """Runs, reads, writes, observes and acts."""

    @property
    def title(self) -> str:
        return "look"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        seen = run.remote.observe(Queries(tests=(("test", "-e", "x"),)))
        assert seen.tests == {("test", "-e", "x"): 0}
        return [Change(title=self.title, verb=Verb.RUN, why="always")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        run.checkpoint()
        run.remark("done as another", user="deploy")
        run.say(run.remote.run(("id",)).stdout.decode())
        assert run.remote.read("/srv/a") == b"content"
        run.remote_of(run.context.host.name).write("/srv/b", b"new")
        tested = Change(
            title="own", verb=Verb.RUN, why="", guard=Queries(tests=(("test", "-e", "x"),)), lines=("touch y",)
        )
        seen = run.remote.observe(tested.guard)
        run.remote.act([tested], seen, run_id=run.run_id)
        return self.plan(run)


def with_look(world: Any) -> MemoryHost:
    world.task("look.here", lambda _: [Look()])
    host: MemoryHost = world.hosts["w1"]
    script = 'umask 077; rm -f -- "$1"; cat >"$1"; chmod -- "$3" "$1"; mv -fT -- "$1" "$2"'
    wrote: list[bytes] = []

    def write(stdin: bytes) -> Completed:
        wrote.append(stdin)
        return Completed(0)

    host.commands |= {
        as_user("deploy", ("id",)): Completed(0, b"deploy"),
        as_user("deploy", ("test", "-e", "x")): Completed(0),
        as_user("deploy", ("cat", "--", "/srv/a")): Completed(0, b"content"),
        as_user("deploy", ("sh", "-ec", script, "write", "/srv/.b.kubeforge~", "/srv/b", "0600")): write,
    }
    world.wrote = wrote
    return host


def test_actions_do_everything_as_the_user(world: Any) -> None:
    host = with_look(world)
    text = json.dumps([{"play": "A", "hosts": "w1", "become_user": "{{ who }}", "tasks": ["look.here"]}])
    with world.session(text, variables={"who": "deploy"}) as session:
        result = session.apply(session.plan())
    assert result.failures == ()
    assert world.wrote == [b"new"]
    assert [event.message for event in world.of(ActionSaid)] == ["warning: done as another", "deploy"]
    (own,) = host.changes
    assert own.lines[0].startswith("runuser -u deploy -- ")
    assert own.guard.tests == (as_user("deploy", ("test", "-e", "x")),)


def entered(inventory: Inventory, connection: Connection) -> Inventory:
    hosts = {name: replace(host, connection=connection) for name, host in inventory.hosts.items()}
    return replace(inventory, hosts=hosts)


def test_one_batch_for_tasks_of_several_users(world: Any) -> None:
    """A host is entered once, and what two users and root do there goes in one round trip."""
    world.inventory = entered(world.inventory, OPS)
    host = world.hosts["w1"]
    host.commands["sh",] = lambda text: Completed(0, b"deploy\ndeploy\n" if b"deploy" in text else b"ops\nops\n")
    tasks = [
        {"files.write": {"paths": ["/srv/a"]}, "become_user": "deploy"},
        {"files.write": {"paths": ["/srv/b"]}, "become": True},
        {"files.write": {"paths": ["/srv/c"]}},
    ]
    text = json.dumps([{"play": "A", "hosts": "w1", "tasks": tasks}])
    with world.session(text) as session:
        assert session.inventory.hosts["w1"].connection == replace(SUDO, own_user="")
        session.apply(session.plan())
        assert session.plan().steps == ()
    assert host.calls.count("act") == 1
    assert [one.why for one in host.changes] == ["is missing (as deploy)", "is missing", "is missing (as ops)"]


def test_a_task_that_knows_users_is_told(world: Any) -> None:
    told: list[str] = []

    def run(_context: Context, *, become_user: str = "") -> list[Any]:
        told.append(become_user)
        return []

    world.task("command.run", run)
    tasks = ["command.run", {"command.run": {"become_user": "own"}}, {"command.run": None, "become_user": "root"}]
    text = json.dumps([{"play": "A", "hosts": "w1", "become_user": "deploy", "tasks": tasks}])
    with world.session(text) as session:
        assert session.plan().failures == ()
    assert told == ["deploy", "own", ""]


def test_delegated_work_has_its_user_too(world: Any) -> None:
    world.hosts["w2"].commands["sh",] = Completed(0, b"deploy\ndeploy\n")
    tasks = [{"files.write": {"paths": ["/srv/a"]}, "delegate_to": "w2", "become_user": "deploy"}]
    with world.session(json.dumps([{"play": "A", "hosts": "w1", "tasks": tasks}])) as session:
        assert enters_as_root(session.inventory.hosts["w2"].connection)
        assert session.inventory.hosts["w1"].connection.become is False
        session.apply(session.plan())
    (change,) = world.hosts["w2"].changes
    assert change.why == "is missing (as deploy)"


def test_whom_a_template_delegates_to_is_entered_as_root(world: Any) -> None:
    """As the balancer of playbooks/examples/rolling-restart.yml."""
    world.inventory = entered(world.inventory, OPS)
    tasks = [{"files.write": {"paths": ["/etc/x"]}, "delegate_to": "{{ balancers[number | int] }}", "become": True}]
    book = [{"play": "A", "hosts": "w1", "vars": {"balancers": ["cp1", "w2"]}, "tasks": tasks}]
    with world.session(json.dumps(book), variables={"number": "1"}) as session:
        session.apply(session.plan())
        become = {name: host.connection.become for name, host in session.inventory.hosts.items()}
    assert become == {"cp1": False, "w1": False, "w2": True}
    assert world.hosts["w2"].acted == ["file /etc/x"]


def test_no_user_without_root(world: Any) -> None:
    """Who only facts name is known too late to enter that host as root."""
    tasks = [{"files.write": {}, "delegate_to": "{{ 'w2' if facts.cpus else '' }}", "become_user": "deploy"}]
    text = json.dumps([{"play": "A", "hosts": "w1", "tasks": tasks}])
    world.inventory = entered(world.inventory, OPS)
    with world.session(text) as session:
        (failure,) = session.plan().failures
    assert "not entered as root, so nobody there can become deploy" in failure.cause
    assert failure.error == "BecomeFailed"


def test_nobody_is_become_and_named(world: Any) -> None:
    task = {"files.write": {}, "become": False, "become_user": "x"}
    text = json.dumps([{"play": "A", "hosts": "w1", "tasks": [task]}])
    with pytest.raises(InputError, match="becomes nobody: `become: false` is said beside it"):
        world.session(text)


def test_whoever_is_the_one_of_a_shuffled_play_is_entered_as_root(world: Any) -> None:
    hosts = {name: replace(host, connection=OPS) for name, host in world.inventory.hosts.items()}
    world.inventory = Inventory(hosts=hosts, groups=world.inventory.groups)
    play = {"play": "A", "hosts": "all", "order": "shuffle", "run_once": True, "become": True, "tasks": ["files.write"]}
    for _ in range(10):
        with world.session(json.dumps([play])) as session:
            (name,) = session.who.everyone
            assert session.inventory.hosts[name].connection.become


def test_who_cannot_be_become_where_only_facts_tell_the_host_is_refused(world: Any) -> None:
    hosts = {name: replace(host, connection=OPS) for name, host in world.inventory.hosts.items()}
    world.inventory = Inventory(hosts=hosts, groups=world.inventory.groups)
    call = {"files.write": None, "delegate_to": "{{ facts.os_id and 'cp1' }}", "become": True}
    with world.session(json.dumps([{"play": "A", "hosts": "w1", "tasks": [call]}])) as session:
        (failure,) = session.plan().failures
    assert "cp1 is not entered as root" in failure.cause
    assert failure.remedy
    assert "ansible_become: true" in failure.remedy
