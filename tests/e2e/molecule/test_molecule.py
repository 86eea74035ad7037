"""The Molecule scenario, by the real molecule: in the checkout, and copied into a project that has only the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installed_wheel import install_wheel

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
LAB = "molecule-default"
LONGEST = 600.0

pytestmark = pytest.mark.lab


def molecule(project: Path, labs: Path, *words: str, tools: Path = BIN) -> subprocess.CompletedProcess[str]:
    """Run molecule in a project; its own files go beside the labs.

    Args:
        project: the folder with molecule/.
        labs: where labs are made.
        words: the command line.
        tools: where kubeforge and pytest are installed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {
        "PATH": f"{BIN}{os.pathsep}{environment['PATH']}",
        "KUBEFORGE_BIN": str(tools),
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    environment |= {"KUBEFORGE_LABS": str(labs), "KUBEFORGE_STATE": str(labs / "state"), "HOME": str(labs)}
    argv = [str(BIN / "molecule"), *words]
    return subprocess.run(
        argv, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )


def passes(done: subprocess.CompletedProcess[str]) -> str:
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-8000:]
    return told


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A project outside of the repository with the scenario in it."""
    shutil.copytree(ROOT / "tests/molecule", tmp_path / "project/molecule")
    return tmp_path / "project"


def test_molecule_in_the_checkout(labs: Path) -> None:
    """Destroy, syntax, create, converge, idempotence, verify, destroy."""
    told = passes(molecule(ROOT / "tests", labs, "test"))
    for action in ("create", "converge", "idempotence", "verify"):
        assert action in told
    assert not (labs / LAB).exists()


def test_copied_scenario_with_the_wheel(copied: Path, labs: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    tools = install_wheel(tmp_path_factory.mktemp("wheel"))
    passes(molecule(copied, labs, "test", tools=tools))
    assert not (labs / LAB).exists()


def test_what_is_wrong_fails_where_it_is_wrong(copied: Path, labs: Path) -> None:
    """A command without a guard is no idempotent playbook; a host that is not as asked is no verified one."""
    book = copied / "molecule/default/site.yml"
    book.write_text("- play: Again and again\n  hosts: web\n  tasks:\n    - command.run: {command: [uptime]}\n")
    try:
        passes(molecule(copied, labs, "converge"))
        done = molecule(copied, labs, "idempotence")
        assert done.returncode != 0
        assert "idempotence" in (done.stdout + done.stderr).lower()
        done = molecule(copied, labs, "verify")
        assert done.returncode != 0
        assert "test_web_servers_greet" in done.stdout + done.stderr
        book.write_text("- play: Broken\n  hosts: web\n  tasks:\n    - file.presnt: {path: /etc/motd}\n")
        done = molecule(copied, labs, "converge")
        assert done.returncode != 0
        assert "file.present" in done.stdout + done.stderr, "kubeforge says what was meant"
    finally:
        passes(molecule(copied, labs, "destroy"))
    assert not (labs / LAB).exists()
