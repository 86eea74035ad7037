"""The root: what --help costs, what it says, completion, and the verbs about kubeforge itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from kubeforge.cli import VERBS, root
from kubeforge.cli.boundary import guarded
from kubeforge.spec.loader import examine
from kubeforge.spec.releases import MINORS

HEAVY = {"paramiko", "fabric", "pydantic", "lightkube", "httpx2", "cryptography", "jinja2", "yaml", "rich"}
COUNT = """
import contextlib, io, sys
from kubeforge.cli import VERBS, root
from kubeforge.cli.boundary import guarded

lines = [["--help"], ["--version"], ["aply"], ["completion", "zsh"], *([verb, "--help"] for verb in VERBS)]
for line in lines:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        guarded(root, line, "kubeforge")
    print(*line, "->", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_heavy_is_imported() -> None:
    """What --help takes is what it imports; a time would depend on the machine."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    lines = [line.partition(" -> ") for line in done.stdout.splitlines()]
    assert len(lines) == len(VERBS) + 4
    assert [(line, found) for line, _, modules in lines if (found := HEAVY & set(modules.split()))] == []


@pytest.mark.parametrize("name", VERBS)
def test_table_of_verbs_is_true(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == name
    assert command.help is not None
    assert command.help.splitlines()[0] == VERBS[name].summary or name in ("artifacts", "lab")


@pytest.mark.parametrize("name", VERBS)
def test_every_option_says_what_it_is(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_help_lists_every_verb() -> None:
    said = CliRunner().invoke(root, ["--help"]).output
    assert [name for name in VERBS if f"\n  {name} " not in said] == []


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(root, ["aply"], "kubeforge") == 64
    assert "no command is called aply; did you mean `apply`?" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_version_as_data(form: str) -> None:
    said = CliRunner().invoke(root, ["version", "-o", form]).output
    data = json.loads(said) if form == "json" else yaml.safe_load(said)
    assert [row["minor"] for row in data["kubernetes"]] == list(MINORS)


def test_schema_knows_every_field_and_takes_what_the_loader_takes() -> None:
    made = json.loads(CliRunner().invoke(root, ["schema"]).output)
    assert {"name", "kubernetes", "network", "nodes", "addons"} <= set(made["properties"])
    assert made["required"] == ["name", "kubernetes"]
    assert made["additionalProperties"] is False
    args = made["$defs"]["ApiServer"]["properties"]["extra_args"]
    assert args["type"] == ["object", "null"]
    assert args["additionalProperties"]["anyOf"][0]["type"] == ["string", "number", "boolean"]
    assert made["properties"]["network"]["anyOf"][1] == {"type": "null"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    result = CliRunner().invoke(root, ["completion", shell], prog_name="kubeforge")
    assert result.exit_code == 0
    assert f"_KUBEFORGE_COMPLETE={shell}_complete" in result.output


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "pl", {"plan", "playbook"}),
        ([], "", set(VERBS)),
        (["plan"], "--de", {"--detailed-exitcode"}),
        (["validate", "-o"], "", {"table", "json", "yaml"}),
        (["completion"], "z", {"zsh"}),
        (["lab"], "par", {"partition"}),
    ],
)
def test_completion(words: list[str], incomplete: str, expected: set[str]) -> None:
    complete = ShellComplete(root, {}, "kubeforge", "_KUBEFORGE_COMPLETE")
    assert {item.value for item in complete.get_completions(words, incomplete)} == expected


def test_a_shell_asks_by_the_environment() -> None:
    asked = {"_KUBEFORGE_COMPLETE": "bash_complete", "COMP_WORDS": "kubeforge pl", "COMP_CWORD": "1"}
    program = [sys.executable, "-c", "from kubeforge.cli import main; main()"]
    done = subprocess.run(program, env=asked, capture_output=True, text=True, check=False)
    assert done.stdout == "plain,plan\nplain,playbook\n", done.stderr


def test_wrong_option_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(root, ["plan", "-e", "novalue"], "kubeforge") == 64
    assert "`novalue` is not KEY=VALUE" in capsys.readouterr().err


def test_schema_of_the_examples(tmp_path: Path) -> None:
    """The schema is not stricter than the loader for what stands in the examples."""
    made: dict[str, Any] = json.loads(CliRunner().invoke(root, ["schema"]).output)
    for file in (Path(__file__).parents[3] / "inventory").glob("*/cluster.yml"):
        assert set(yaml.safe_load(file.read_text())) <= set(made["properties"])
        assert examine(file, None).errors == ()
