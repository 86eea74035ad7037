"""Every generic task says what it does and what each argument is, and docs/tasks/ says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge import tasks
from kubeforge.engine.model import Task
from kubeforge.engine.reference import reference_pages
from kubeforge.engine.signatures import signature

FOLDER = Path(__file__).parents[4] / "docs/tasks"
GENERIC = {name: one for name, one in tasks.load().items() if ".generic." in one.function.__module__}


@pytest.mark.parametrize("one", GENERIC.values(), ids=GENERIC)
def test_tasks_are_documented(one: Task) -> None:
    taken = signature(one)
    assert taken.text.splitlines()[0].endswith(".")
    undescribed = [name for name, parameter in taken.parameters.items() if not parameter.summary]
    assert undescribed == []
    assert one.name.count(".") == 1


def test_names_that_others_use_are_told_apart() -> None:
    words = [word for one in GENERIC.values() for word in one.aka]
    assert len(words) == len(set(words))


def test_the_pages_are_what_the_tasks_say() -> None:
    """Where this fails: scripts/task-pages."""
    wanted = reference_pages(GENERIC)
    assert {path.name for path in FOLDER.glob("*.md")} == set(wanted)
    assert [name for name, text in wanted.items() if (FOLDER / name).read_text() != text] == []
