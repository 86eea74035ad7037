"""A lab's number is its own on the whole machine, in whatever folder labs are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.errors import LabError
from kubeforge.lab.claims import claim, claims, release


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def lab(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_one_owner(machine: Path, tmp_path: Path) -> None:
    first, second = lab(tmp_path, "first"), lab(tmp_path, "second")
    claim(machine, 0, first)
    claim(machine, 0, first)
    with pytest.raises(LabError, match=r"10\.77\.0\.0/24 of lab second is taken by the lab in .*/first"):
        claim(machine, 0, second)
    claim(machine, 7, second)
    assert claims(machine) == {0: first, 7: second}
    release(machine, 0)
    claim(machine, 0, second)
    assert claims(machine)[0] == second


def test_the_claim_of_a_folder_that_is_gone_is_void(machine: Path, tmp_path: Path) -> None:
    gone, heir = lab(tmp_path, "gone"), lab(tmp_path, "heir")
    claim(machine, 0, gone)
    gone.rmdir()
    claim(machine, 0, heir)
    assert claims(machine) == {0: heir}
