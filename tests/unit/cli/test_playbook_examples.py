"""The example playbooks: nothing is wrong with them, and each names its own command."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.cli.books import checked

FOLDER = Path(__file__).parents[3] / "playbooks/examples"
FILES = sorted(FOLDER.glob("*.yml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_examples_are_right(file: Path) -> None:
    ((_, book),) = checked([file])
    assert book.plays
    assert f"kubeforge playbook run playbooks/examples/{file.name} " in file.read_text()


def test_the_issues_four_are_there() -> None:
    assert {file.stem for file in FILES} == {"harden", "web", "rolling-restart", "patch"}
