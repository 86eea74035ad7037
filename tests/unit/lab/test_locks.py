"""Locks on folders."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path, PosixPath

import pytest

from kubeforge.lab import locks


def test_held_once(tmp_path: Path) -> None:
    first = locks.try_hold(tmp_path)
    assert first is not None
    assert locks.try_hold(tmp_path) is None
    locks.release(first)
    second = locks.try_hold(tmp_path)
    assert second is not None
    locks.release(second)


def test_no_lock_on_what_is_not_there(tmp_path: Path) -> None:
    assert locks.try_hold(tmp_path / "none") is None


def test_ends_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from kubeforge.lab import locks\n"
        "locks.try_hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert locks.try_hold(tmp_path) is None
    holder.kill()
    holder.communicate()
    lock = locks.try_hold(tmp_path)
    assert lock is not None
    locks.release(lock)


def test_who_waited_for_a_folder_that_is_gone_gets_a_new_one(tmp_path: Path) -> None:
    """The lock's last holder removes the folder: a lock on the removed one would be nobody's."""
    folder = tmp_path / "lab"
    entered = threading.Event()
    there = []

    def wait_for_it() -> None:
        entered.set()
        with locks.hold(folder):
            there.append(folder.is_dir())

    with locks.hold(folder):
        waiter = threading.Thread(target=wait_for_it)
        waiter.start()
        entered.wait()
        folder.rmdir()
    waiter.join(10)
    assert there == [True]


class Vanishing(PosixPath):
    """A folder that is removed once, between `mkdir` finding it there and looking what it is."""

    __slots__ = ("looked",)

    def is_dir(self) -> bool:
        if not hasattr(self, "looked"):
            self.looked = True
            self.rmdir()
        return super().is_dir()


def test_a_folder_that_goes_while_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    folder = Vanishing(tmp_path / "lab")
    with locks.hold(folder):
        assert folder.looked
        assert (tmp_path / "lab").is_dir()


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("")
    with pytest.raises(FileExistsError), locks.hold(tmp_path / "lab"):
        pass
