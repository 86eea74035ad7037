"""One lab for a module, and what a lab may leave behind: nothing."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kubeforge.lab.host import Host
from kubeforge.lab.lab import Lab

SPACES = ("mnt", "pid", "net", "uts", "ipc", "cgroup")
Done = subprocess.CompletedProcess[str]
Enter = Callable[..., Done]
Namespaces = Callable[[Sequence[Host]], frozenset[str]]
Traces = Callable[..., list[str]]


@pytest.fixture(scope="session", autouse=True)
def _away_from_the_users_labs(labs_folder: Path) -> None:
    """Also the tests that make labs without a fixture keep away."""


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    """One control plane, one worker, both running."""
    with Lab.up("it", control_planes=1, workers=1) as made:
        yield made


@pytest.fixture(scope="session")
def enter() -> Enter:
    """Return `enter(lab, host, *command)`: by the machine's own ssh, host keys checked strictly."""

    def run(lab: Lab, host: str, *command: str, user: str = "root", stdin: str = "") -> Done:
        argv = lab.ssh_command(host, user, command)
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
        return subprocess.run([argv[0], *options, *argv[1:]], input=stdin, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def ssh(lab: Lab, enter: Enter) -> Enter:
    """Return `ssh(host, *command)` into the module's lab."""
    return functools.partial(enter, lab)


@pytest.fixture(scope="session")
def namespaces() -> Namespaces:
    """Return `namespaces(hosts)`: those of hosts that run."""

    def collect(hosts: Sequence[Host]) -> frozenset[str]:
        pids = [host.init.pid for host in hosts if host.init is not None]
        return frozenset(str(Path(f"/proc/{pid}/ns/{space}").readlink()) for pid in pids for space in SPACES)

    return collect


@pytest.fixture(scope="session")
def traces() -> Traces:
    """Return `traces(number, folder, spaces)`: whatever a lab has on the machine.

    Processes (by folder and by namespace), mounts, links, cgroups, files.
    """

    def collect(number: int, folder: Path, spaces: frozenset[str] = frozenset()) -> list[str]:
        found = [f"file {folder}"] if folder.exists() else []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                found += _traces_of(entry, folder, spaces)
        found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{folder}/" in line]
        found += [f"link {path.name}" for path in Path("/sys/class/net").iterdir() if path.name == f"kflab{number}"]
        listed = subprocess.run(
            ["find", "/sys/fs/cgroup", "-name", f"kflab{number}"], capture_output=True, text=True, check=False
        )
        return found + listed.stdout.split()

    return collect


def _traces_of(process: Path, folder: Path, spaces: frozenset[str]) -> list[str]:
    try:
        words = process.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        inside = {str((process / "ns" / space).readlink()) for space in SPACES} & spaces
    except OSError:  # it has just ended
        return []
    if inside or str(folder) in words:
        return [f"process {process.name}: {' '.join(words)[:80]}"]
    return []
