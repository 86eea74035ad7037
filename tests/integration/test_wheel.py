"""The wheel works outside of the checkout: in an environment of its own, playbooks and templates are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installed_wheel import ROOT, install_wheel, run

LOOK = """
from pathlib import Path
import kubeforge
from kubeforge import resources, tasks
from kubeforge.engine.playbook_loader import load

home = Path(kubeforge.__file__).parent
assert resources.templates() == home / "_shipped" / "templates", resources.templates()
sources = sorted((home / "artifacts" / "components").glob("kubernetes-*/main.go"))
assert len(sources) > 1, sources
assert not [path for path in sources if path.is_symlink() or b"package main" not in path.read_bytes()]
books = sorted(resources.playbooks().glob("*.yml"))
assert books and all(load(book, tasks.load()).plays for book in books)
print(home)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel's `python` and `kubeforge`."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


def test_resources_are_in_the_wheel(installed: Path) -> None:
    home = run(installed / "python", "-c", LOOK, cwd=installed).strip()
    assert Path(home).is_relative_to(installed.parent)


def test_command_is_installed(installed: Path) -> None:
    command = installed / "kubeforge"
    assert run(command, "version", cwd=installed).startswith("kubeforge ")
    said = run(command, "validate", "-i", ROOT / "inventory" / "ha", cwd=installed)
    assert "valid; cluster ha" in said
