"""The one kernel parameter of the machine that labs need higher: raised with a message, put back at the last `down`.

The old value is kept below /run, which lives as long as the parameter itself: until the machine's next boot.
"""

from __future__ import annotations

import json
from pathlib import Path

from kubeforge.lab import constants
from kubeforge.lab.process import replace_file
from kubeforge.lab.progress import Progress

__all__ = ["put_back", "raise_limits"]

_NAME, _WANTED = constants.INOTIFY_INSTANCES


def _parameter(root: Path) -> Path:
    return root / _NAME.replace(".", "/")


def raise_limits(progress: Progress, machine: Path, root: Path = Path("/proc/sys")) -> None:
    """Raise the limit where it is too low, and remember what it was; the caller holds the machine's lock.

    Args:
        progress: told if it is changed.
        machine: folder for what is remembered.
        root: where kernel parameters are files.
    """
    parameter = _parameter(root)
    before = int(parameter.read_text())
    if before >= _WANTED:
        return
    # written first: a crash after it leaves a note that is true
    replace_file(machine / "sysctl.json", json.dumps({_NAME: before}) + "\n")
    parameter.write_text(f"{_WANTED}\n")
    progress.note(f"{_NAME} raised from {before} to {_WANTED} until the last lab is down: all hosts share it")


def put_back(progress: Progress, machine: Path, root: Path = Path("/proc/sys")) -> None:
    """Put the limit back as it was, unless somebody else has changed it since; the caller holds the machine's lock."""
    note = machine / "sysctl.json"
    if not note.exists():
        return
    before = json.loads(note.read_text())[_NAME]
    parameter = _parameter(root)
    if int(parameter.read_text()) == _WANTED:
        parameter.write_text(f"{before}\n")
        progress.note(f"{_NAME} is {before} again")
    note.unlink()
