"""What a group of processes costs: CPU by the kernel's own accounting, memory by sampling.

A cgroup (v1 cpuacct, or v2) sees daemons and persistent ssh masters too, which wait4's figures miss.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

V1 = Path("/sys/fs/cgroup/cpuacct")
V2 = Path("/sys/fs/cgroup")
SAMPLE_SECONDS = 0.1


class Group:
    """A cgroup of our own; `enter` is for a child before it executes."""

    def __init__(self, name: str) -> None:
        self._v1 = (V1 / "cpuacct.usage").exists()
        self.folder = (V1 if self._v1 else V2) / f"kubeforge-bench-{os.getpid()}-{name}"
        self.folder.mkdir()

    def enter(self) -> None:
        """Move the calling process into the group."""
        (self.folder / "cgroup.procs").write_text("0")

    def seconds(self) -> float:
        """CPU seconds used by all processes that ever were in it."""
        if self._v1:
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        fields = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def processes(self) -> list[int]:
        """Process ids in it now."""
        return [int(word) for word in (self.folder / "cgroup.procs").read_text().split()]

    def remove(self) -> None:
        """End what is left in it and remove it."""
        until = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < until:
            for process in left:
                with _gone_is_fine():
                    os.kill(process, 9)
            time.sleep(0.02)
        self.folder.rmdir()


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except (ProcessLookupError, FileNotFoundError):
        return


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run of a command cost.

    Args:
        wall: seconds.
        client_cpu: seconds of all its processes.
        memory: bytes, the highest sum of proportional set sizes that was sampled.
        output: what it printed.
    """

    wall: float
    client_cpu: float
    memory: int
    output: str


def measure(argv: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Cost:
    """Run a command to its end in a group of its own.

    Raises:
        subprocess.CalledProcessError: it failed; its output is on the exception.
    """
    group = Group("client")
    try:
        began = time.perf_counter()
        child = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            cwd=folder,
            preexec_fn=group.enter,  # noqa: PLW1509 - no threads are started before
        )
        sampler = _Sampler(group)
        sampler.start()
        output = child.communicate()[0].decode(errors="replace")
        wall = time.perf_counter() - began
        sampler.stopped.set()
        sampler.join()
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, list(argv), output=output)
        return Cost(wall=wall, client_cpu=group.seconds(), memory=sampler.highest, output=output)
    finally:
        group.remove()


class _Sampler(threading.Thread):
    """Adds up memory ten times a second."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.highest = 0
        self._group = group

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_SECONDS):
            self.highest = max(self.highest, sum(map(_proportional, self._group.processes())))


def _proportional(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
