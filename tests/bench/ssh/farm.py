"""Many "hosts" on one machine: one sshd on 127.1.x.y, a folder per host, all of it in one cgroup."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ssh.meter import Group

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True, kw_only=True)
class Farm:
    """Running hosts.

    Args:
        folder: everything lies here.
        port: of every host.
        key: the client's.
        known_hosts: names all hosts, and those behind a delay.
        group: sshd and everything it starts.
    """

    folder: Path
    port: int
    key: Path
    known_hosts: Path
    group: Group

    def address(self, number: int) -> str:
        """Address of the n-th host, from 0."""
        return f"127.1.{number // 250}.{number % 250 + 1}"

    def settle(self) -> float:
        """Wait until every connection has ended; return the targets' CPU seconds so far."""
        until = time.monotonic() + 60
        while len(self.group.processes()) > 1:
            if time.monotonic() > until:
                raise RuntimeError("connections stay open on the targets")
            time.sleep(0.05)
        return self.group.seconds()


@contextmanager
def farm(folder: Path, hosts: int, delayed: int) -> Iterator[Farm]:
    """Start `hosts` hosts; `delayed` is the port of the delaying proxy, whose address is 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    for name in ("host_key", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    home = folder / "home"
    home.mkdir()
    config = folder / "sshd_config"
    config.write_text(f"""
ListenAddress 0.0.0.0:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/id.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 1000
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
# Root's own .bashrc on this machine is not what is measured.
SetEnv HOME={home}
""")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    group = Group("targets")
    with (folder / "sshd.log").open("ab") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdout=log, stderr=log, preexec_fn=group.enter)  # noqa: PLW1509 - no threads yet
    try:
        made = Farm(folder=folder, port=port, key=folder / "id", known_hosts=folder / "known_hosts", group=group)
        public = " ".join((folder / "host_key.pub").read_text().split()[:2])
        names = [f"[{made.address(number)}]:{port}" for number in range(hosts)] + [f"[127.0.0.1]:{delayed}"]
        made.known_hosts.write_text("".join(f"{name} {public}\n" for name in names))
        _wait(port)
        yield made
    finally:
        server.terminate()
        server.wait(10)
        group.remove()


def _wait(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def need_root() -> None:
    """Refuse where cgroups cannot be made."""
    if os.geteuid() != 0:
        raise SystemExit("needs root: every target is an sshd in a cgroup of its own")
    if not Path(SSHD).exists():
        raise SystemExit("needs sshd: apt-get install openssh-server")
