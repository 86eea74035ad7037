"""Real etcd: members founded by restoring a snapshot of nothing, see ADR 0042."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import SourceChoice, Versions, silent
from kubeforge.artifacts.resolve import resolve
from kubeforge.cluster.etcd import founding_snapshot
from kubeforge.spec.releases import release

pytestmark = pytest.mark.lab


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return `program(name)`: the path of etcd, etcdctl or etcdutl."""
    versions = Versions.of(release("1.36"), "1.36.3")
    parts = resolve(versions, arches=["amd64"], source=SourceChoice(), cache=Cache.default(), progress=silent)
    folder = tmp_path_factory.mktemp("bin")

    def find(name: str) -> str:
        link = folder / name
        if not link.exists():
            link.symlink_to(parts.files[name, "amd64"].path)
        return str(link)

    return find


class Members:
    """Members that found a cluster together; each is a process of this machine."""

    def __init__(self, program: Callable[[str], str], folder: Path, count: int) -> None:
        ports = free_ports(2 * count)
        self.program, self.folder = program, folder
        self.names = [f"m{number}" for number in range(count)]
        self.clients = {name: f"http://127.0.0.1:{ports[2 * n]}" for n, name in enumerate(self.names)}
        self.peers = {name: f"http://127.0.0.1:{ports[2 * n + 1]}" for n, name in enumerate(self.names)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def cluster(self) -> str:
        return ",".join(f"{name}={url}" for name, url in self.peers.items())

    def found(self, name: str) -> None:
        snapshot = self.folder / "nothing.db"
        snapshot.write_bytes(founding_snapshot())
        flags = ["--name", name, "--initial-cluster", self.cluster, "--initial-advertise-peer-urls", self.peers[name]]
        argv = [self.program("etcdutl"), "snapshot", "restore", str(snapshot), "--data-dir", str(self.folder / name)]
        subprocess.run([*argv, *flags], check=True, capture_output=True)

    def start(self, name: str) -> None:
        client, peer = self.clients[name], self.peers[name]
        flags = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        flags += ["--initial-advertise-peer-urls", peer, "--initial-cluster", self.cluster]
        flags += ["--initial-cluster-state", "existing", "--feature-gates", "InitialCorruptCheck=true"]
        argv = [self.program("etcd"), "--name", name, "--data-dir", str(self.folder / name), *flags]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        process.wait(10)

    def ask(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [self.program("etcdctl"), "--endpoints", self.clients[name], "--command-timeout", "2s", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def wait(self, name: str) -> None:
        end = time.monotonic() + 30
        while self.ask(name, "endpoint", "health").returncode:
            assert time.monotonic() < end, (self.folder / f"{name}.log").read_text()[-2000:]


@pytest.fixture
def members(program: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[[int], Members]]:
    """Return the maker of members."""
    made: list[Members] = []

    def make(count: int) -> Members:
        made.append(Members(program, tmp_path, count))
        return made[-1]

    yield make
    for one in made:
        for name in list(one.processes):
            one.stop(name)


@pytest.mark.parametrize("count", [1, 3])
def test_founded_together_and_never_new(members: Callable[[int], Members], count: int) -> None:
    made = members(count)
    for name in made.names:
        made.found(name)
    for name in made.names:
        made.start(name)
    made.wait("m0")
    assert made.ask("m0", "put", "a", "1").returncode == 0
    for name in made.names:
        made.wait(name)
        assert made.ask(name, "get", "a", "--print-value-only").stdout == "1\n"
    listed = made.ask("m0", "member", "list").stdout
    assert listed.count("started") == count
    made.stop("m0")
    made.start("m0")
    made.wait("m0")
    assert made.ask("m0", "get", "a", "--print-value-only").stdout == "1\n"


def test_a_member_that_lost_its_data_does_not_boot_a_cluster_of_its_own(members: Callable[[int], Members]) -> None:
    made = members(1)
    made.found("m0")
    made.start("m0")
    made.wait("m0")
    made.stop("m0")
    shutil.rmtree(made.folder / "m0")
    made.start("m0")
    assert made.processes["m0"].wait(20) != 0
    assert b"cannot fetch cluster info from peer urls" in (made.folder / "m0.log").read_bytes()


def test_the_snapshot_is_one_to_etcdutl(program: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "nothing.db"
    path.write_bytes(founding_snapshot())
    told = subprocess.run(
        [program("etcdutl"), "snapshot", "status", str(path), "-w", "json"], capture_output=True, text=True, check=True
    )
    assert '"totalKey":0' in told.stdout
