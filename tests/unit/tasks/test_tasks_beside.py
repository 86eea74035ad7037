"""Python files beside a playbook: their tasks are found, and what is wrong with them is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.tasks.beside import registry_for

GOOD = '''
from __future__ import annotations
from kubeforge.operations import File
from kubeforge.tasks import Context, task

@task("{name}")
def motd(context: Context, *, text: str):
    """Greets."""
    yield File(path="/etc/motd", content=text.encode())
'''


def test_tasks_of_the_playbook_and_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text(GOOD.format(name="site.motd"))
    (tmp_path / "tasks.py").write_text(GOOD.format(name="shared.motd"))
    (tmp_path / "other.py").write_text("raise RuntimeError")
    registry = registry_for(tmp_path / "site.yml")
    assert registry["site.motd"].summary == "Greets."
    assert {"shared.motd", "os.prepare"} <= set(registry)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def x(:\n", "site.py:1: not Python: invalid syntax"),
        ("import os\n\nos.nothing\n", "site.py:3: AttributeError: module 'os' has no attribute 'nothing'"),
        (GOOD.format(name="os.prepare"), "site.py:6: there is a task os.prepare already; give yours another name"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "site.py").write_text(text)
    with pytest.raises(InputError) as caught:
        registry_for(tmp_path / "site.yml")
    (problem,) = caught.value.problems
    assert str(problem).removeprefix(f"{tmp_path}/").startswith(told)
