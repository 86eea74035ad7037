"""The Molecule scenario as far as it can be judged without Molecule: YAML, and command lines that kubeforge takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from kubeforge.cli import root
from kubeforge.lab.record import Shape, check_name

FOLDER = Path(__file__).parents[2] / "molecule/default"
PLAYBOOKS = ("create", "converge", "verify", "destroy")
VARS: dict[str, Any] = yaml.safe_load((FOLDER / "vars.yml").read_text())


def commands(name: str) -> list[list[str]]:
    """Return the command lines of an Ansible playbook of the scenario, templates filled where they are simple."""
    (play,) = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    assert (play["hosts"], play["connection"], play["vars_files"]) == ("localhost", "local", ["vars.yml"])
    lines = [task["ansible.builtin.command"]["argv"] for task in play["tasks"]]
    return [[filled(str(word)) for word in line] for line in lines if isinstance(line, list)]


def filled(word: str) -> str:
    for key, value in VARS.items():
        word = word.replace("{{ " + key + " }}", str(value))
    return word.replace("{{ playbook_dir }}", str(FOLDER))


def parsed(words: list[str]) -> str:
    """Let click read a command line without doing anything; return the verb."""
    command: click.Command = root
    context = click.Context(root, info_name="kubeforge")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"kubeforge has no {words[0]}"
        command, words, context = found, words[1:], click.Context(found, info_name=words[0], parent=context)
    command.make_context(context.info_name, words, parent=context.parent)
    return context.command_path


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("create", ["kubeforge lab up"]),
        ("converge", ["kubeforge lab status", "kubeforge playbook run"]),
        ("destroy", ["kubeforge lab down"]),
    ],
)
def test_command_lines(name: str, verbs: list[str]) -> None:
    assert [parsed(line[1:]) for line in commands(name)] == verbs


def test_verify_calls_pytest_with_the_lab() -> None:
    (line,) = commands("verify")
    assert line[1:3] == ["-m", "pytest"]
    assert f"--kubeforge-lab={VARS['lab']}" in line
    assert Path(line[-1]).is_dir()


def test_lab_is_one_there_can_be() -> None:
    check_name(VARS["lab"])
    Shape(control_planes=VARS["control_planes"], workers=VARS["workers"]).check()


def test_molecule_configuration() -> None:
    molecule = yaml.safe_load((FOLDER / "molecule.yml").read_text())
    assert molecule["driver"] == {"name": "default"}
    sequence = molecule["scenario"]["test_sequence"]
    assert sequence[0] == sequence[-1] == "destroy"
    assert sequence.index("converge") < sequence.index("idempotence") < sequence.index("verify")
    assert all((FOLDER / f"{name}.yml").is_file() for name in PLAYBOOKS)


def test_groups_are_of_hosts_that_the_lab_has() -> None:
    groups = yaml.safe_load((FOLDER / "groups.yml").read_text())["all"]["children"]
    there = {f"w{number + 1}" for number in range(VARS["workers"])}
    assert {name for group in groups.values() for name in group["hosts"]} <= there
    hosts = {play["hosts"] for play in yaml.safe_load((FOLDER / "site.yml").read_text())}
    assert hosts <= set(groups)
