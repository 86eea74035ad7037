"""Working copies by a real git: what is in their way, what is left as it is, and that a second run changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kubeforge.errors import Unreadable
from kubeforge.operations import Checkout
from kubeforge.operations.model import Change, Observation

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


def sh(text: str, folder: Path) -> str:
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(folder)}
    who = {f"GIT_{role}_{what}": "a@b.test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["sh", "-eu"], input=text, cwd=folder, text=True, capture_output=True, check=False, env=os.environ | quiet | who
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def decided(made: Checkout) -> Change | None:
    said = subprocess.run(["sh"], input=made.probe, text=True, stdout=subprocess.PIPE, check=False).stdout
    return made.decide(Observation(outputs={made.probe: said}))


def applied(made: Checkout) -> None:
    change = decided(made)
    assert change is not None
    sh("\n".join(change.lines), Path("/"))
    assert decided(made) is None, "a second run changes nothing"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "its source"
    folder.mkdir()
    sh("git init -q -b main; echo 1 >f; git add f; git commit -qm 1", folder)
    return folder


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> Checkout:
    return Checkout(path=str(tmp_path / "a copy"), url=f"file:///{source}".replace(" ", "%20"), version="main")


def test_a_run_that_was_cut_off_before_the_first_fetch(copy: Checkout) -> None:
    sh(f"git init -q '{copy.path}'", Path("/"))
    applied(copy)


@pytest.mark.parametrize("force", [False, True])
def test_files_that_are_not_git_s_stay(copy: Checkout, source: Path, force: bool) -> None:
    made = Checkout(path=copy.path, url=copy.url, version="main", force=force)
    applied(made)
    (Path(copy.path) / "built").write_text("mine")
    assert decided(made) is None
    sh("echo 2 >f; git commit -qam 2", source)
    applied(made)
    assert (Path(copy.path) / "built").read_text() == "mine"


def test_a_file_in_the_way_of_a_new_one_is_not_overwritten(copy: Checkout, source: Path) -> None:
    applied(copy)
    (Path(copy.path) / "new").write_text("mine")
    sh("echo theirs >new; git add new; git commit -qm 2", source)
    change = decided(copy)
    assert change is not None
    with pytest.raises(AssertionError, match="would be overwritten"):
        sh("\n".join(change.lines), Path("/"))
    assert (Path(copy.path) / "new").read_text() == "mine"


def test_a_folder_with_other_things_is_no_place_for_a_copy(copy: Checkout) -> None:
    Path(copy.path).mkdir()
    (Path(copy.path) / "f").write_text("mine")
    with pytest.raises(Unreadable, match="is no working copy"):
        decided(copy)
    applied(Checkout(path=copy.path, url=copy.url, version="main", force=True))


def test_a_working_copy_around_it_is_another_one(copy: Checkout, tmp_path: Path) -> None:
    sh("git init -q -b main; echo 1 >g; git add g; git commit -qm around", tmp_path)
    before = sh("git rev-parse HEAD; git config -l --local", tmp_path)
    Path(copy.path).mkdir()
    applied(copy)
    assert sh("git rev-parse HEAD; git config -l --local", tmp_path) == before


def test_head_of_a_repository_that_is_a_clone_itself(copy: Checkout, source: Path, tmp_path: Path) -> None:
    """It has a refs/remotes/origin/HEAD, too, which is not what it is at."""
    sh(f"git clone -q '{source}' clone; cd clone; echo 2 >f; git commit -qam 2", tmp_path)
    made = Checkout(path=copy.path, url=f"file://{tmp_path}/clone")
    applied(made)
    assert (Path(copy.path) / "f").read_text() == "2\n"


def test_a_whole_clone_stays_whole_and_a_branch_may_be_pushed_anew(copy: Checkout, source: Path) -> None:
    sh("echo 2 >f; git commit -qam 2", source)
    sh(f"git clone -q '{source}' '{copy.path}'", Path("/"))
    sh("git reset -q --hard HEAD^; echo 3 >f; git commit -qam 3", source)
    applied(copy)
    assert sh("git rev-list --count HEAD", Path(copy.path)) == "2\n"
