"""Whole runs on lab hosts: plan and apply, faults, interruptions, the lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kubeforge.engine.events import ActionSaid, Event, HostFacts, Warned
from kubeforge.errors import Locked
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.lab.lab import Lab
from kubeforge.lab.recipe import PASSWORD
from kubeforge.spec.paths import CLUSTER_LOCK, RUN_NOTE

pytestmark = pytest.mark.lab

PROGRAM = Path(__file__).with_name("program.py")
WHOLE = """
- {play: Files, hosts: all, tasks: [kfit.files]}
- {play: Service, hosts: all, serial: 2, tasks: [kfit.service]}
"""
SLOW = "- {play: Slow, hosts: w1, facts: false, tasks: [kfit.slow]}"
ASLEEP = "- {play: Asleep, hosts: w1, facts: false, tasks: [kfit.asleep]}"


@contextmanager
def started(inventory: Inventory, text: str, until: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; give it once it has printed `until`; kill it in the end."""
    argv = [sys.executable, str(PROGRAM), str(inventory.source), text]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            seen = []
            for line in iter(child.stdout.readline, ""):
                seen.append(line)
                if line.startswith(until):
                    break
            else:
                raise AssertionError(f"it ended without {until}: {seen}")
            yield child
        finally:
            child.kill()


def test_plan_apply_and_nothing_more_to_do(inventory: Inventory, program: ModuleType) -> None:
    events: list[Any] = []
    with program.session(inventory, WHOLE, [events.append]) as session:
        plan = session.plan()
        assert not plan.failures
        result = session.apply(plan)
    assert result.exit_code == 0
    assert result.remaining == ()
    planned = {(step.host, change.title) for step in plan.steps for change in step.changes}
    assert {(done.host, done.title) for done in result.done} == planned
    assert len(planned) == 3 * 23
    facts = [event for event in events if isinstance(event, HostFacts)]
    assert len(facts) == 3
    with program.session(inventory, WHOLE) as session:
        again = session.plan()
        assert not again
        assert not again.failures


def test_a_change_restarts_what_listens(inventory: Inventory, program: ModuleType) -> None:
    text = WHOLE.replace("[kfit.files]", "[kfit.files: {text: other}]")
    with program.session(inventory, text, limit="w1") as session:
        plan = session.plan(diff=True)
        verbs = {str(change.verb) for step in plan.steps for change in step.changes}
        assert verbs == {"update", "restart"}
        diff = plan.steps[0].changes[0].diff
        assert diff.before == "hello 0 on w1\n"
        assert diff.after == "other 0 on w1\n"
        assert session.apply(plan).exit_code == 0


def test_a_file_changed_by_hand_after_the_plan(inventory: Inventory, lab: Lab, program: ModuleType) -> None:
    text = WHOLE.replace("[kfit.files]", "[kfit.files: {text: third}]")
    with program.session(inventory, text, limit="w2") as session:
        plan = session.plan()
        subprocess.run(lab.ssh_command("w2", "root", ("sh", "-c", "echo hand >/etc/kfit/3")), check=True)
        result = session.apply(plan)
    assert result.failures[0].error == "ChangedUnderneath"
    assert any("/etc/kfit/3" in line for line in result.failures[0].evidence)
    assert result.done == ()


def test_killed_while_acting_the_next_run_tells_and_goes_on(
    inventory: Inventory, lab: Lab, program: ModuleType
) -> None:
    with started(inventory, SLOW, "StepStarted w1"):
        until = time.monotonic() + 30
        begun = f'[ "$(tail -n 1 {RUN_NOTE})" = "start 0" ]'
        while lab.host("w1").run(("sh", "-c", begun), check=False).returncode != 0:
            assert time.monotonic() < until, "the first command was not begun"
    events: list[Any] = []
    deadline = time.monotonic() + 30
    while True:
        with program.session(inventory, SLOW, [events.append]) as session:
            result = session.apply(session.plan())
        if result.exit_code == 0 or time.monotonic() > deadline:
            break
        assert result.failures[0].error in {"HostBusy", "ChangedUnderneath"}, result.failures
    assert result.exit_code == 0
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert "was cut off" in warned[0]
    with program.session(inventory, SLOW) as session:
        assert not session.plan()


def test_a_note_with_nothing_left_to_do_is_settled(inventory: Inventory, lab: Lab, program: ModuleType) -> None:
    script = "mkdir -p /var/lib/kubeforge; printf 'begin old 1\\ntitle 0 x\\nstart 0\\n' >/var/lib/kubeforge/run"
    lab.host("w2").run(("sh", "-c", script))
    text = "- {play: Command, hosts: w2, tasks: [kfit.files: {count: 0}]}"
    warned = []
    for _ in range(2):
        events: list[Any] = []
        with program.session(inventory, text, [events.append]) as session:
            session.apply(session.plan())
        warned.append([event.message for event in events if isinstance(event, Warned)])
    assert len(warned[0]) == 1
    assert warned[1] == []


def test_the_lock_of_another_run(inventory: Inventory, program: ModuleType) -> None:
    with started(inventory, ASLEEP, "ActionSaid w1"), program.session(inventory, ASLEEP) as session:
        plan = session.plan()
        with pytest.raises(Locked) as caught:
            session.apply(plan)
    assert "run " in caught.value.cause
    with program.session(inventory, ASLEEP.replace("[kfit.asleep]", "[kfit.asleep: {seconds: 0}]")) as session:
        assert session.apply(session.plan()).exit_code == 0


TWO_STEPS = """
- {play: Asleep, hosts: w1, facts: false, tasks: [kfit.asleep: {seconds: 30}]}
- {play: Then, hosts: w1, facts: false, tasks: [kfit.slow: {seconds: 0, name: NAME}]}
"""
THIEF = f"""[Unit]
Before=ssh.service
[Service]
ExecStart=flock {CLUSTER_LOCK} sh -c 'echo somebody else >{CLUSTER_LOCK}; exec sleep 300'
[Install]
WantedBy=multi-user.target
"""


def rebooting(lab: Lab) -> Callable[[Event], None]:
    """Return a sink that reboots cp1, which holds the lock, as soon as w1 is asleep."""
    begun = threading.Event()

    def sink(event: Event) -> None:
        if isinstance(event, ActionSaid) and not begun.is_set():
            begun.set()
            threading.Thread(target=lab.host("cp1").reboot).start()

    return sink


def test_the_lock_is_taken_again_after_a_reboot(inventory: Inventory, lab: Lab, program: ModuleType) -> None:
    events: list[Any] = []
    text = TWO_STEPS.replace("NAME", "again")
    with program.session(inventory, text, [events.append, rebooting(lab)]) as session:
        result = session.apply(session.plan())
    assert (result.exit_code, result.failures, result.remaining) == (0, (), ())
    said = [event.message for event in events if isinstance(event, Warned)]
    assert said[0].startswith("the run's lock went with its connection")
    assert said[-1] == "the run's lock is held again"
    assert len(result.done) == 4


def test_another_run_takes_the_lock_while_its_holder_reboots(
    inventory: Inventory, lab: Lab, program: ModuleType
) -> None:
    host = lab.host("cp1")
    host.run(("sh", "-c", "cat >/etc/systemd/system/kfit-thief.service"), stdin=THIEF)
    host.run(("systemctl", "enable", "kfit-thief"))
    with program.session(inventory, TWO_STEPS.replace("NAME", "never"), [rebooting(lab)]) as session:
        result = session.apply(session.plan())
    host.run(("systemctl", "disable", "--now", "kfit-thief"))
    (failure,) = result.failures
    assert (failure.error, failure.host, failure.exit_code) == ("Locked", "cp1", 18)
    assert "another run took it: somebody else" in failure.cause
    assert [step.step for step in result.remaining] == ["asleep", "kfit.slow"]


SUDO = [
    {"ansible_user": "ops", "ansible_become": True},
    {"ansible_user": "opspw", "ansible_become": True, "ansible_become_password": PASSWORD},
]


@pytest.mark.parametrize("variables", SUDO, ids=["without a password", "with a password"])
def test_with_sudo_lock_included(lab: Lab, program: ModuleType, variables: dict[str, Any]) -> None:
    inventory = load(lab.inventory, extra_vars=variables)
    text = f"- {{play: A, hosts: all, tasks: [kfit.files: {{text: as {variables['ansible_user']}}}]}}"
    with program.session(inventory, text) as session:
        result = session.apply(session.plan())
        assert result.exit_code == 0, result.failures
        assert not session.plan()
    assert len(result.done) >= 60


def test_ctrl_c_stops_cleanly(inventory: Inventory) -> None:
    with started(inventory, ASLEEP, "ActionSaid w1") as child:
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "RunDone" in [line.split()[0] for line in rest.splitlines()[-2:]]  # a thread of its own says Stopping


def test_two_ctrl_c_leave_at_once(inventory: Inventory) -> None:
    text = SLOW.replace("[kfit.slow]", "[kfit.slow: {seconds: 9, name: twice}]")
    with started(inventory, text, "StepStarted w1") as child:
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        assert child.stdout.readline().startswith("Stopping")
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) == 130


def test_hosts_that_are_away_are_told_all_at_once(inventory: Inventory, lab: Lab, program: ModuleType) -> None:
    lab.host("w1").kill()
    lab.host("w2").kill()
    try:
        with program.session(inventory, WHOLE) as session:
            plan = session.plan()
            assert [(failure.host, failure.exit_code) for failure in plan.failures] == [("w1", 11), ("w2", 11)]
            result = session.apply(plan)
        assert (result.exit_code, result.done) == (11, ())
    finally:
        lab.host("w1").start()
        lab.host("w2").start()
