"""playbook check and schema: every problem with its line, and nothing asked of any host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeforge.cli import root
from kubeforge.cli.boundary import guarded

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
