"""A real sshd on loopback, started as the current user on a free port; ended with everything it started.

Needs OpenSSH's server and client (Debian: openssh-server, openssh-client), no root, no network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kubeforge.inventory.model import Connection, Host
from kubeforge.transport.ssh import SshTransport
from kubeforge.transport.ssh_access import SshAccess

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


def keygen(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


@dataclass
class Sshd:
    """One server; `folder` holds its keys, configuration and log."""

    folder: Path
    address: str = "127.0.0.1"
    port: int = 0
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host_key(self) -> Path:
        return self.folder / "host_ed25519"

    @property
    def log(self) -> Path:
        return self.folder / "sshd.log"

    @property
    def authorized(self) -> Path:
        return self.folder / "authorized_keys"

    def start(self) -> Sshd:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.port = self.port or free_port(self.address)
        if not self.host_key.exists():
            keygen(self.host_key)
        self.authorized.touch()
        config = self.folder / "sshd_config"
        config.write_text(
            "\n".join(
                (
                    *self.options,
                    f"ListenAddress {self.address}:{self.port}",
                    f"HostKey {self.host_key}",
                    f"AuthorizedKeysFile {self.authorized}",
                    f"PidFile {self.folder / 'pid'}",
                    "StrictModes no",
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "PermitRootLogin yes",
                    "MaxStartups 1000",
                    "PrintMotd no",
                    f"SetEnv HOME={self.folder}",  # a slow .bashrc of whoever runs the tests is not what is tested
                    "",
                )
            )
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
        self._wait()
        return self

    def _wait(self) -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(self.log.read_text())

    def sessions(self) -> list[int]:
        """Process ids of the connections' sshd processes."""
        assert self.process is not None
        return descendants(self.process.pid)

    def signal_sessions(self, by: signal.Signals) -> None:
        """Signal the connections' processes and what they started; the server itself goes on."""
        send_all(self.sessions(), by)

    def stop(self) -> None:
        if self.process is None:
            return
        send_all([*self.sessions(), self.process.pid], signal.SIGKILL)  # also ends what a test has stopped
        self.process.wait(10)

    def authorize(self, key: Path) -> None:
        with self.authorized.open("a") as file:
            file.write(key.with_name(key.name + ".pub").read_text())

    def known_line(self) -> str:
        kind, key = self.host_key.with_name(self.host_key.name + ".pub").read_text().split()[:2]
        return f"[{self.address}]:{self.port} {kind} {key}\n"

    def host(self, name: str = "node", **connection: Any) -> Host:
        settings: dict[str, Any] = {"address": self.address, "port": self.port, "connect_timeout": 5.0}
        return Host(name=name, connection=Connection(**{**settings, **connection}))


def send_all(processes: list[int], by: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # one that only served the login may have ended
            os.kill(process, by)


def descendants(pid: int) -> list[int]:
    """Children first met first, as /proc lists them."""
    found = []
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    for child in children:
        found += [child, *descendants(child)]
    return found


@dataclass(frozen=True)
class Client:
    """Who connects: a home of its own, a key, known hosts, one `SshAccess`."""

    home: Path
    key: Path
    known: Path
    access: SshAccess
    opened: list[SshTransport] = field(default_factory=list)

    def host(self, sshd: Sshd, **connection: Any) -> Host:
        return sshd.host(**{"key_file": self.key, "known_hosts": (self.known,), **connection})

    def trust(self, sshd: Sshd) -> None:
        with self.known.open("a") as file:
            file.write(sshd.known_line())

    def open(self, sshd: Sshd, **connection: Any) -> SshTransport:
        transport = self.access.open(self.host(sshd, **connection))
        self.opened.append(transport)
        return transport

    def close(self) -> None:
        for transport in self.opened:
            transport.close()
        self.access.close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client without agent and without any file of whoever runs the tests."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    known = home / "known_hosts"
    known.touch()
    access = SshAccess(home=home)
    made = Client(home, keygen(home / "id"), known, access)
    yield made
    made.close()


@pytest.fixture
def start_sshd(tmp_path: Path, client: Client) -> Iterator[Callable[..., Sshd]]:
    """Start servers that let the client in and that it trusts."""
    if not Path(SSHD).exists():
        pytest.fail("these tests need sshd: install openssh-server")
    started: list[Sshd] = []

    def start(*options: str, trusted: bool = True) -> Sshd:
        server = Sshd(tmp_path / f"sshd{len(started)}", options=options).start()
        started.append(server)
        server.authorize(client.key)
        if trusted:
            client.trust(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def sshd(start_sshd: Callable[..., Sshd]) -> Sshd:
    """One server."""
    return start_sshd()


@pytest.fixture
def node(sshd: Sshd, client: Client) -> Iterator[SshTransport]:
    """A transport to that server."""
    transport = client.open(sshd)
    yield transport
    transport.close()


@pytest.fixture
def make_key() -> Callable[..., Path]:
    """Make key pairs by ssh-keygen."""
    return keygen


@pytest.fixture(name="free_port")
def free_port_fixture() -> int:
    """A port on which nothing listens."""
    return free_port()
