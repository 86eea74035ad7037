"""Real etcd: members are processes of this machine, and a Remote leads kubeforge's questions to them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import SourceChoice, Versions, silent
from kubeforge.artifacts.resolve import resolve
from kubeforge.cluster.etcd import founding_snapshot, lacks_health, lives
from kubeforge.operations.model import Entry, Observation, Queries
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_WAL
from kubeforge.spec.releases import release
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost


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
        ports = free_ports(3 * count)
        self.program, self.folder = program, folder
        self.names = [f"m{number}" for number in range(count)]
        self.clients = {name: f"http://127.0.0.1:{ports[3 * n]}" for n, name in enumerate(self.names)}
        self.peers = {name: f"http://127.0.0.1:{ports[3 * n + 1]}" for n, name in enumerate(self.names)}
        self.metrics = {name: ports[3 * n + 2] for n, name in enumerate(self.names)}
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

    def start(self, name: str, cluster: str | None = None) -> None:
        """Start a member; `cluster`: other than all in `--initial-cluster`, which counts without data only."""
        client, peer = self.clients[name], self.peers[name]
        flags = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        flags += ["--initial-advertise-peer-urls", peer, "--initial-cluster", cluster or self.cluster]
        flags += ["--listen-metrics-urls", f"http://127.0.0.1:{self.metrics[name]}"]
        flags += ["--initial-cluster-state", "existing", "--feature-gates", "InitialCorruptCheck=true"]
        argv = [self.program("etcd"), "--name", name, "--data-dir", str(self.folder / name), *flags]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdout=log, stderr=log)

    def chain(self) -> None:
        """Found all and start them one after the other, each when the one before lives."""
        for name in self.names:
            self.found(name)
        for name in self.names:
            self.start(name)
            self.until(lambda name=name: lives(self.host(name)))  # type: ignore[misc]  # bound now

    def lose(self, name: str) -> None:
        """End a member, and take its data away."""
        self.stop(name)
        shutil.rmtree(self.folder / name)

    def settled(self, name: str) -> str:
        return f"{name}={self.peers[name]}"

    def host(self, name: str) -> ProcessHost:
        return ProcessHost(self, name)

    def until(self, what: Callable[[], object], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, [path.read_text()[-800:] for path in sorted(self.folder.glob("*.log"))]
            time.sleep(0.02)

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


class ProcessHost(MemoryHost):
    """The host of one member, as kubeforge sees it: etcdctl and etcdutl ask the process; the metrics port is real."""

    def __init__(self, members: Members, name: str) -> None:
        super().__init__(name)
        self._members = members

    def run(self, argv: Sequence[str], **_: object) -> Completed:  # commands of etcd only
        before, argv = (argv[:2], argv[2:]) if argv[0] == "timeout" else ([], argv)
        program, words = argv[0].removeprefix(f"{BIN}/"), [word for word in argv[1:] if not word.startswith(_TLS)]
        if program == "etcdctl":
            words = [f"--endpoints={self._members.clients[self.host]}", "--command-timeout=2s", *words]
        words = [word.replace(ETCD_DATA, str(self._members.folder / self.host)) for word in words]
        done = subprocess.run([*before, self._members.program(program), *words], capture_output=True, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def observe(self, queries: Queries) -> Observation:
        there = (self._members.folder / self.host / "member/wal").is_dir()
        return Observation(paths=MappingProxyType({ETCD_WAL: Entry(0o040700) if there else None}))

    def open_tunnel(self, host: str, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._members.metrics[self.host]), timeout=2)


_TLS = ("--endpoints=", "--cacert=", "--cert=", "--key=")


def serving(members: Callable[[int], Any], *, keys: int) -> Any:
    """Return three members that serve, with keys k0, k1 and so on."""
    made = members(3)
    made.chain()
    for name in made.names:
        made.until(lambda name=name: lacks_health(made.host(name)) is None)
    for number in range(keys):
        assert made.ask("m0", "put", f"k{number}", "v").returncode == 0
    return made


@pytest.fixture
def three(members: Callable[[int], Any]) -> Any:
    """Three members that serve, with five keys."""
    return serving(members, keys=5)
