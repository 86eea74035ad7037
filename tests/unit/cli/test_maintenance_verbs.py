"""cordon, drain, uncordon, patch, restart, node exec: what reaches the run, and what is refused before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kubeforge.cli import root, runs
from kubeforge.cli.boundary import guarded
from kubeforge.cli.runs import Choices
from tests.unit.cli.test_lifecycle import NOTHING, SOMETHING, UNREACHABLE, FakeRun


class Opened:
    """What was opened, over a fake run."""

    def __init__(self) -> None:
        self.run = FakeRun(NOTHING)
        self.choices: Choices | None = None
        self.playbook = ""
        self.serial: tuple[str, ...] = ()

    @contextmanager
    def open(self, choices: Choices, playbook: str, *, parts: bool, serial: Any = ()) -> Iterator[FakeRun]:
        assert not parts
        self.choices, self.playbook, self.serial = choices, playbook, tuple(serial)
        yield self.run

    def __call__(self, line: str, run: FakeRun, *more: str) -> int:
        self.run = run
        return guarded(root, [*line.split(), *more], "kubeforge")

    @property
    def variables(self) -> Any:
        assert self.choices is not None
        return self.choices.variables


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    made = Opened()
    monkeypatch.setattr(runs, "opened", made.open)
    return made


@pytest.mark.parametrize("verb", ["cordon", "uncordon"])
def test_cordons_ask_nothing(opened: Opened, verb: str) -> None:
    run = FakeRun(SOMETHING)
    assert opened(f"{verb} w1 w2 -e x=1", run) == 0
    assert run.did == ["plan", "show", "apply", "result"]
    assert (opened.playbook, opened.variables) == (verb, {"x": "1", "nodes": "w1,w2"})


def test_drain(opened: Opened) -> None:
    line = "drain w1 gone --yes --grace 5 --deadline 2m --delete-local-storage --force --dead"
    assert opened(line, FakeRun(SOMETHING)) == 0
    assert opened.playbook == "drain"
    assert opened.variables == {
        "nodes": "w1,gone",
        "drain_grace": "5",
        "drain_deadline": "2m",
        "drain_delete_local_storage": "yes",
        "drain_force": "yes",
        "drain_dead": "yes",
    }


def test_what_is_not_said_is_left_to_the_tasks(opened: Opened) -> None:
    assert opened("drain w1 --yes", FakeRun(SOMETHING)) == 0
    assert opened.variables == {"nodes": "w1"}


@pytest.mark.parametrize("line", ["drain w1 --check", "patch --check", "restart kubelet kube_node --check"])
def test_check_only_shows(opened: Opened, line: str) -> None:
    run = FakeRun(SOMETHING)
    assert opened(line, run) == 0
    assert run.did == ["plan", "show"]


def test_check_tells_by_its_exit_code_what_could_not_be_planned(opened: Opened) -> None:
    assert opened("drain w1 --check", FakeRun(UNREACHABLE)) == 11


def test_patch(opened: Opened) -> None:
    line = "patch --yes --serial 1,25% --reboot always --reboot-deadline 20m --no-drain -l w1"
    assert opened(line, FakeRun(SOMETHING)) == 0
    assert (opened.playbook, opened.serial) == ("patch", ("1", "25%"))
    assert opened.variables == {"patch_reboot": "always", "patch_reboot_deadline": "20m", "patch_drain": "no"}
    assert opened.choices is not None
    assert opened.choices.limit == "w1"


def test_restart(opened: Opened) -> None:
    assert opened("restart containerd kube_node:!w1 --yes --serial 2", FakeRun(SOMETHING)) == 0
    assert opened.choices is not None
    assert (opened.choices.limit, opened.variables) == ("kube_node:!w1", {"restart_unit": "containerd"})
    assert (opened.playbook, opened.serial) == ("restart", ("2",))


@pytest.mark.parametrize(("words", "line"), [(("uname -r; id",), "uname -r; id"), (("echo", "a b"), "echo 'a b'")])
def test_node_exec(opened: Opened, words: tuple[str, ...], line: str) -> None:
    assert opened("node exec --yes --serial 2 --within 5m --drain kube_node --", FakeRun(SOMETHING), *words) == 0
    assert opened.choices is not None
    assert (opened.choices.limit, opened.playbook, opened.serial) == ("kube_node", "exec", ("2",))
    assert opened.variables == {"exec_command": line, "exec_within": "5m", "exec_drain": "yes"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("drain", "Missing argument 'NODE…'"),
        ("drain w1 -l w2 --yes", "no --limit"),
        ("cordon w1 -t nodes", "no --tags"),
        ("drain w1 --grace soon --yes", "`soon` is no span of time"),
        ("drain w1 --deadline= --yes", "`` is no span of time"),
        ("node exec kube_node --yes --within -3 -- id", "`-3` is no span of time"),
        ("drain w1", "drain asks before it changes anything"),
        ("patch", "patch asks before it changes anything"),
        ("patch --yes --serial 0", "`0` is no number of hosts"),
        ("patch --yes --serial 120%", "`120%` is no number of hosts"),
        ("restart sshd w1 --yes", "'sshd' is not one of"),
        ("restart kubelet w1 -l w2 --yes", "no --limit"),
        ("node exec kube_node --yes", "Missing argument 'COMMAND...'"),
    ],
)
def test_refused(opened: Opened, line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert opened(line, FakeRun(SOMETHING)) == 64
    assert said in capsys.readouterr().err
    assert opened.choices is None
