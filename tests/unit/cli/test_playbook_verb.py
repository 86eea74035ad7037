"""playbook check and schema: every problem with its line, and nothing asked of any host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeforge.cli import books, root
from kubeforge.cli.boundary import guarded
from kubeforge.cli.runs import Choices
from kubeforge.engine.plan import Plan, PlannedChange, PlannedStep
from kubeforge.engine.result import RunResult
from kubeforge.operations.model import Verb

BOOK = "- play: A\n  hosts: all\n  tasks:\n    - site.motd: {text: hello}\n"
CODE = (
    "from kubeforge.operations import File\nfrom kubeforge.tasks import Context, task\n\n@task('site.motd')\n"
    "def motd(context: Context, *, text: str):\n    yield File(path='/etc/motd', content=text.encode())\n"
)


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "site.yml"
    book.write_text(BOOK)
    assert guarded(root, ["playbook", "check", str(book)], "kubeforge") == 10
    assert f"{book}:4: tasks: there is no task site.motd" in capsys.readouterr().err
    (tmp_path / "site.py").write_text(CODE)
    assert guarded(root, ["playbook", "check", str(book)], "kubeforge") == 0
    assert capsys.readouterr().out == f"{book}: 1 plays, 1 tasks, nothing wrong\n"


def test_check_tells_what_is_wrong_with_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {
        "a": BOOK,
        "b": "- play: B\n  hosts: all\n  tasks: [debug.facts]\n",
        "c": "- {play: C}\n",
    }.items():
        (tmp_path / f"{name}.yml").write_text(text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/tasks.py").write_text("import nowhere_at_all\n")
    files = [str(tmp_path / name) for name in ("a.yml", "b.yml", "c.yml", "d.yml", "folder/e.yml", "folder/f.yml")]
    assert guarded(root, ["playbook", "check", *files], "kubeforge") == 10
    said = capsys.readouterr()
    assert said.out == f"{files[1]}: 1 plays, 1 tasks, nothing wrong\n"
    for file in (files[0], files[2], files[3], str(tmp_path / "folder/tasks.py")):
        assert file in said.err
    assert said.err.count("nowhere_at_all") == 1


NOBODY = "- play: A\n  tasks: [debug.facts]\n  hosts: web\n- {play: B, hosts: 'w1,wbe', tasks: [debug.facts]}\n"


@pytest.mark.parametrize("words", [["run", "--check"], ["run", "--yes", "--ask-pass"], ["check"]])
def test_plays_for_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """All of them, with their lines, before anybody is asked for a password and any host for anything."""
    book = tmp_path / "site.yml"
    book.write_text(NOBODY)
    (tmp_path / "hosts.yml").write_text("all: {hosts: {w1: {ansible_host: 192.0.2.1}}, children: {web: {}}}\n")
    call = ["playbook", *words, str(book), "-i", str(tmp_path / "hosts.yml")]
    assert guarded(root, call, "kubeforge") == 10
    said = capsys.readouterr()
    assert f"{book}:3: hosts: no host is left in 'web' (web means 0)" in said.err
    assert f"{book}:4: hosts: no group and no host is called 'wbe' (in 'w1,wbe'); did you mean web?" in said.err
    assert said.out == ""


def test_check_for_an_inventory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "site.yml"
    book.write_text(NOBODY.partition("- {")[0])
    (tmp_path / "hosts.yml").write_text("web: {hosts: {w1: {}}}\n")
    assert guarded(root, ["playbook", "check", str(book), "-i", str(tmp_path / "hosts.yml")], "kubeforge") == 0
    assert capsys.readouterr().out.endswith("nothing wrong\n")


def test_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.py").write_text(CODE)
    assert guarded(root, ["playbook", "schema", str(tmp_path / "site.yml")], "kubeforge") == 0
    made = json.loads(capsys.readouterr().out)
    properties = made["$defs"]["tasks"]["items"]["anyOf"][1]["properties"]
    assert properties["site.motd"]["required"] == ["text"]


def test_run_asks_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.yml").write_text(BOOK)
    assert guarded(root, ["playbook", "run", str(tmp_path / "site.yml")], "kubeforge") == 64
    assert "--yes" in capsys.readouterr().err


class Opened:
    """A run whose plan is given; notes what is asked of it."""

    prose = True

    def __init__(self, plan: Plan) -> None:
        self.made = plan
        self.did: list[str] = []

    def plan(self, *, diff: bool) -> Plan:
        self.did.append("plan with contents" if diff else "plan")
        return self.made

    def blocked(self, plan: Plan) -> bool:
        return False

    def record(self, plan: Plan) -> None:
        """Nothing to write."""

    def show_plan(self, plan: Plan, *, diff: bool) -> None:
        self.did.append("show diff" if diff else "show")

    def apply(self, plan: Plan) -> RunResult:
        self.did.append("apply")
        return RunResult(run_id="r")

    def show_result(self, result: RunResult) -> None:
        self.did.append("result")


CHANGE = PlannedChange(title="file /etc/a", verb=Verb.CREATE, why="is missing")
STEP = PlannedStep(host="w1", play="A", step="file.present", action=False, changes=(CHANGE,))


@pytest.mark.parametrize(
    ("options", "did"),
    [
        (["--check"], ["plan", "show"]),
        (["--check", "--diff"], ["plan with contents", "show diff"]),
        (["--yes"], ["plan", "show", "apply", "result"]),
        (["-y", "-D"], ["plan with contents", "show diff", "apply", "result"]),
    ],
)
def test_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], did: list[str]) -> None:
    opened = Opened(Plan(playbook="site", hosts=("w1",), plays=("A",), steps=(STEP,)))

    @contextmanager
    def fake(choices: Choices, file: Path) -> Iterator[Opened]:
        assert file.name == "site.yml"
        yield opened

    monkeypatch.setattr(books, "opened_book", fake)
    assert guarded(root, ["playbook", "run", str(tmp_path / "site.yml"), *options], "kubeforge") == 0
    assert opened.did == did
