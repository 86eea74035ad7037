"""Processes of the lab, named so that a reused pid is never taken for the one that was meant."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Identity", "replace_file"]


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write `path` so that a reader, or a crash, sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process for all time: pid, when it began, and in which boot of the machine.

    Args:
        pid: as seen from the machine.
        started: clock ticks after the machine's boot (field 22 of /proc/PID/stat).
        boot: the machine's boot id.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of the process that has `pid` now; None where there is none, or only its corpse."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # the command's name stands in parentheses and may hold spaces: count from the last one
        fields = stat.rpartition(")")[2].split()
        if fields[0] in {"Z", "X"}:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(pid=pid, started=int(fields[19]), boot=boot)

    @classmethod
    def read(cls, path: Path) -> Identity | None:
        """Return the identity written in `path`; None where there is no such file."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None

    def write(self, path: Path) -> None:
        """Write it to `path`, in one step."""
        replace_file(path, json.dumps(asdict(self)) + "\n")

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: int) -> bool:
        """Send a signal to this very process; False where it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # the descriptor holds the process that has the pid now: check it is ours, then signal that one
            if not self.alive:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True
