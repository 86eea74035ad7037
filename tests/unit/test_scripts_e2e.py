"""scripts/e2e: what fails once is run again and told, what fails twice makes the run red."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "e2e"
ONCE = """
from pathlib import Path

def test_first(): pass

def test_once():
    seen = Path("seen")
    here, _ = seen.exists(), seen.touch()
    assert here
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_good.py").write_text("def test_good(): open('good', 'a').write('x')\n")
    return tmp_path


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    pytest_here = Path(sys.executable).with_name("pytest")
    argv = [sys.executable, str(SCRIPT), str(pytest_here), "tests"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_nothing_fails(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 0
    assert "Once more" not in done.stdout


def test_what_fails_once_is_run_again_alone_and_told(folder: Path) -> None:
    (folder / "tests" / "test_once.py").write_text(ONCE)
    done = run(folder)
    assert done.returncode == 0
    assert "Once more, each by itself: tests/test_once.py\n" in done.stdout
    assert done.stdout.endswith("Failed at first, to be looked at:\n  tests/test_once.py::test_once\n")
    assert (folder / "good").read_text() == "x", "only the file that failed is run again"


def test_what_fails_twice_is_red(folder: Path) -> None:
    (folder / "tests" / "test_once.py").write_text(ONCE)
    (folder / "tests" / "test_bad.py").write_text("def test_bad(): assert False\n")
    assert run(folder).returncode == 1


def test_what_cannot_be_read_is_red_at_once(folder: Path) -> None:
    (folder / "tests" / "test_bad.py").write_text("this is no Python\n")
    done = run(folder)
    assert done.returncode not in (0, 1)
    assert "Once more" not in done.stdout
