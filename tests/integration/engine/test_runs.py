"""Whole runs on lab hosts: plan and apply, faults, interruptions, the lock."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kubeforge.engine.events import HostFacts, Warned
from kubeforge.errors import Locked
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.lab.lab import Lab
from kubeforge.lab.recipe import PASSWORD
from kubeforge.spec.paths import RUN_NOTE

pytestmark = pytest.mark.lab

PROGRAM = Path(__file__).with_name("program.py")
WHOLE = """
- {play: Files, hosts: all, tasks: [kfit.files]}
- {play: Service, hosts: all, serial: 2, tasks: [kfit.service]}
"""
SLOW = "- {play: Slow, hosts: w1, facts: false, tasks: [kfit.slow]}"
ASLEEP = "- {play: Asleep, hosts: w1, facts: false, tasks: [kfit.asleep]}"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kfit_program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
    assert rest.splitlines()[-1].startswith("RunDone")


def test_two_ctrl_c_leave_at_once(inventory: Inventory) -> None:
    text = SLOW.replace("[kfit.slow]", "[kfit.slow: {seconds: 9, name: again}]")
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
