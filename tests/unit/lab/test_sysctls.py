"""The machine's limit goes up with a message, and down again."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.lab import sysctls


class Notes:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def begin(self, part: str) -> None: ...

    def end(self, part: str, seconds: float) -> None: ...

    def note(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return the folder of notes, the root of kernel parameters, and the parameter."""
    parameter = tmp_path / "sys/fs/inotify/max_user_instances"
    parameter.parent.mkdir(parents=True)
    parameter.write_text("128\n")
    notes = tmp_path / "run"
    notes.mkdir()
    return notes, tmp_path / "sys", parameter


def test_up_and_down(machine: tuple[Path, Path, Path]) -> None:
    folder, root, parameter = machine
    said = Notes()
    sysctls.raise_limits(said, folder, root)
    assert parameter.read_text() == "8192\n"
    assert "from 128 to 8192" in said.messages[0]
    sysctls.raise_limits(said, folder, root)  # a second lab: the old value must not be forgotten
    assert len(said.messages) == 1
    sysctls.put_back(said, folder, root)
    assert parameter.read_text() == "128\n"
    assert not list(folder.iterdir())


def test_high_enough_stays(machine: tuple[Path, Path, Path]) -> None:
    folder, root, parameter = machine
    parameter.write_text("10000\n")
    said = Notes()
    sysctls.raise_limits(said, folder, root)
    sysctls.put_back(said, folder, root)
    assert parameter.read_text() == "10000\n"
    assert said.messages == []


def test_what_somebody_else_set_since_stays(machine: tuple[Path, Path, Path]) -> None:
    folder, root, parameter = machine
    sysctls.raise_limits(Notes(), folder, root)
    parameter.write_text("65536\n")
    sysctls.put_back(Notes(), folder, root)
    assert parameter.read_text() == "65536\n"
