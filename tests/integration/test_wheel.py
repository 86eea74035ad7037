"""The wheel works outside of the checkout: in an environment of its own, playbooks and templates are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.report.page import as_html
from tests.installed_wheel import ROOT, install_wheel, run
from tests.recorded_run import write_run

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


def test_playbooks_are_checked(installed: Path) -> None:
    """Those that are shipped, with the tasks and templates beside them, and one of a person's own."""
    own = installed.parent / "site.yml"
    own.write_text("- play: Say\n  hosts: all\n  tasks: [{debug.say: {message: hello}}]\n")
    where = "from kubeforge import resources; print(resources.playbooks())"
    home = Path(run(installed / "python", "-c", where, cwd=own.parent).strip())
    books = [own, *sorted(home.glob("examples/*.yml"))]
    assert len(books) > 4
    said = run(installed / "kubeforge", "playbook", "check", *books, cwd=own.parent).splitlines()
    assert [line.partition(":")[0] for line in said] == [str(book) for book in books]
    assert all(line.endswith("nothing wrong") for line in said)


def test_report_is_made(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = write_run(tmp_path / "runs" / "demo")
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    command = installed / "kubeforge"
    assert "it does not serve" in run(command, "runs", "show", "--cluster", "demo", cwd=tmp_path)
    assert run(command, "report", "--cluster", "demo", "--to", "run.html", cwd=tmp_path) == "run.html\n"
    assert (tmp_path / "run.html").read_text() == as_html(recorded)
