"""scripts/lab-tests: what fails once is run again and told, what fails twice is red; long tests take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lab-tests"
TURNS = "123456789"
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
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # none is needed, and they take their time
    return subprocess.run(argv, cwd=folder, env=bare, capture_output=True, text=True, check=False)


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


def told(turn: str, cwd: Path = ROOT) -> str:
    """Return what it says, and the words it gives to pytest."""
    argv = [sys.executable, str(SCRIPT), "--turn", turn, "echo"]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stdout


def words(turn: str) -> set[str]:
    return set(told(turn).splitlines()[-1].split())


def files_of(words: set[str]) -> list[Path]:
    """Return the files that pytest would run."""
    named = [ROOT / word for word in words]
    return [file for place in named for file in ([place] if place.is_file() else place.rglob("test_*.py"))]


def test_every_test_has_its_turn() -> None:
    files = set((ROOT / "tests" / "e2e").rglob("test_*.py"))
    every = set.intersection(*map(words, TURNS))
    always = {file for file in files if file.parent.name in {"e2e", "molecule"}}
    assert set(files_of(every)) == always
    long = [file for turn in TURNS for file in files_of(words(turn) - every)]
    assert sorted(long) == sorted(files - always), "each is of one turn"
    assert set(files_of(words("all"))) == files


def test_the_commit_says_whose_turn_it_is(tmp_path: Path) -> None:
    (tmp_path / "tests" / "e2e").mkdir(parents=True)

    def git(*arguments: str) -> str:
        argv = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
        env = {**os.environ, **dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-11-23T00:00:00Z")}
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    turns = set()
    for number in range(60):
        git("commit", "-q", "--allow-empty", "-m", str(number))
        turn = int(git("rev-parse", "HEAD"), 16) % len(TURNS) + 1
        if turn not in turns:
            assert f"of turn {turn} of {len(TURNS)}" in told("commit", tmp_path)
            turns.add(turn)
    assert turns == set(map(int, TURNS))


def test_a_tree_without_git_is_of_the_first_turn(tmp_path: Path) -> None:
    (tmp_path / "tests" / "e2e").mkdir(parents=True)
    assert "of turn 1 of" in told("commit", tmp_path)
