"""An etcd in a dictionary: members start when their host has data or may join, and do what etcdctl says."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeforge.cluster.etcd import etcdctl
from kubeforge.operations.model import Entry, Observation, UnitState
from kubeforge.spec.paths import ETCD_MEMBER, ETCD_UNIT, ETCD_WAL, MANIFESTS
from kubeforge.tasks.etcd_runs import no_joiner
from kubeforge.transport.base import ByteSocket, Completed
from kubeforge.transport.memory import RUNNING, MemoryHost

LEARNER = "[-]non_learner failed: not supported for learner\n"
_ASK = tuple(etcdctl("member"))
_RUN_BY = {ETCD_UNIT: "etcd.service", f"{MANIFESTS}/etcd.yaml": "kubelet.service"}
"""File that says how etcd runs -> the unit that begins it."""


@dataclass
class Known:
    """What etcd knows of a member."""

    id: int
    url: str
    name: str = ""
    learner: bool = False


@dataclass
class MemoryEtcd:
    """Members on hosts in memory.

    Args:
        hosts: name -> host, of members only.
        addresses: name -> address.
        revision: of everybody's data.
        refusals: so many changes of membership are refused as "unhealthy cluster" first.
    """

    hosts: Mapping[str, MemoryHost]
    addresses: Mapping[str, str]
    revision: int = 7
    refusals: int = 0
    members: dict[str, Known] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    joining: dict[str, list[str]] = field(default_factory=dict)
    next_id: int = 1

    def __post_init__(self) -> None:
        for name, host in self.hosts.items():
            self.add(name, started=True)
            host.overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}, units={"kubelet.service": RUNNING}))
            host.commands = _Commands(self, name)  # looked up by argv only
            host.tunnels = {("127.0.0.1", 2381): lambda name=name: self.opened(name)}  # type: ignore[misc]

    def add(self, name: str, *, started: bool = False, learner: bool = False) -> Known:
        url = f"https://{self.addresses[name]}:2380"
        self.members[name] = Known(self.next_id, url, name if started else "", learner)
        self.next_id += 1
        return self.members[name]

    def lose(self, *names: str) -> None:
        """Let members lose their data; they do not run any more."""
        for name in names:
            self.hosts[name].overlay(Observation(paths={ETCD_WAL: None, ETCD_MEMBER: Entry(0o040700)}))

    def join(self, name: str, command: list[str]) -> None:
        """Let a passing process run instead of the member's own, until it is ended."""
        self.joining[name] = command
        self.hosts[name].overlay(Observation(tests={no_joiner().unless or (): 1}))

    def has_data(self, name: str) -> bool:
        return isinstance(self.hosts[name].state.paths.get(ETCD_WAL), Entry)

    def command_line(self, name: str) -> list[str]:
        """Return how etcd is told to run on a host; empty where it is not."""
        if self.hosts[name].state.tests[no_joiner().unless or ()]:
            return self.joining[name]
        for path, unit in _RUN_BY.items():
            try:
                text = self.hosts[name].file(path).decode()
            except KeyError:
                continue
            return ["etcd", *re.findall(r"--[a-z-]+=\S+", text)] if self._is_active(name, unit) else []
        return []

    def _is_active(self, name: str, unit: str) -> bool:
        return self.hosts[name].state.units.get(unit, UnitState()).active == "active"

    def lives(self, name: str) -> bool:
        """Start a member that can start, and say whether it runs."""
        if name in self.down or not self.command_line(name):
            return False
        if not self.has_data(name):
            cluster = next(flag for flag in self.command_line(name) if flag.startswith("--initial-cluster="))
            told = set(cluster.partition("=")[2].split(","))
            known = {f"{host}={entry.url}" for host, entry in self.members.items()}
            if told != known or len(told) == 1 or name not in self.members:
                return False
            self.hosts[name].overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}))
            self.members[name].name = name
        return True

    def serves(self) -> bool:
        voters = [name for name, entry in self.members.items() if not entry.learner]
        return sum(self.lives(name) for name in voters) > len(voters) // 2

    def opened(self, name: str) -> ByteSocket:
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with ours:
                status, body = self.answer(name, ours.recv(4096).split()[1].decode())
                ours.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        if not self.lives(name):
            ours.close()
            theirs.close()
            raise ConnectionRefusedError("nothing listens")
        threading.Thread(target=serve, daemon=True).start()
        return theirs

    def answer(self, name: str, path: str) -> tuple[int, str]:
        if path == "/metrics":
            return 200, f"etcd_debugging_mvcc_current_revision {self.revision}\n"
        if path == "/livez":
            return 200, "ok"
        if not self.serves():
            return 503, '{"health":"false","reason":"RAFT NO LEADER"}'
        learner = path == "/readyz" and name in self.members and self.members[name].learner
        return (503, LEARNER) if learner else (200, "ok")

    def asked(self, words: Sequence[str]) -> Completed:
        """Answer `etcdctl member …`."""
        for name in self.hosts:
            self.lives(name)
        if not self.serves():
            return _error("context deadline exceeded")
        verb, *rest = words
        if verb != "list" and self.refusals:
            self.refusals -= 1
            return _error("etcdserver: unhealthy cluster")
        if verb == "remove":
            self.members = {name: entry for name, entry in self.members.items() if f"{entry.id:x}" != rest[0]}
        if verb == "add":
            self.add(rest[0], learner=True)
        if verb == "promote":
            next(entry for entry in self.members.values() if f"{entry.id:x}" == rest[0]).learner = False
        if verb != "list":
            self.log.append(" ".join(words))
        rows = [
            {"ID": one.id, "name": one.name, "peerURLs": [one.url], "isLearner": one.learner}
            for one in self.members.values()
        ]
        return Completed(0, json.dumps({"members": rows}).encode())


class _Commands(dict[tuple[str, ...], Any]):
    """Commands of one host, answered from what the cluster is."""

    def __init__(self, etcd: MemoryEtcd, host: str) -> None:
        super().__init__()
        self._etcd, self._host = etcd, host

    def get(self, argv: tuple[str, ...], default: Any = None) -> Any:
        if argv[: len(_ASK)] == _ASK:
            return self._asked(argv[len(_ASK) : -2])
        if argv[-1] == "etcd":
            return self._processes()
        return self._done(argv) or default

    def _asked(self, words: Sequence[str]) -> Completed:
        return self._etcd.asked(words) if self._etcd.lives(self._host) else _error("connection refused")

    def _processes(self) -> Completed:
        """Clocks first; then of each process its start, and its command."""
        lines = ["1000", *self._etcd.command_line(self._host)] if self._etcd.lives(self._host) else []
        return Completed(0, ("100.0 1700000000.0 100\n\n" + "".join(f"{line}\n" for line in lines)).encode())

    def _done(self, argv: tuple[str, ...]) -> Completed | None:
        etcd, host = self._etcd, self._host
        if argv[-2:] == (ETCD_WAL, ETCD_MEMBER):  # clears what is no data
            if etcd.has_data(host):
                return Completed(1)
            etcd.hosts[host].overlay(Observation(paths={ETCD_MEMBER: None}))
        elif argv[0] == "systemd-run":
            etcd.join(host, ["etcd", *argv[argv.index("--") + 2 :]])
        elif f"--name={host}" in argv and "-c" in argv:  # its process is ended: it runs no longer than what begins it
            pass
        elif argv[:2] == ("mv", "-T"):  # data go aside
            etcd.lose(host)
        elif argv[1:2] == ("-euc",) and "snapshot restore" in argv[2]:
            etcd.log.append(" ".join(argv[argv.index("--name") :]))
            etcd.members = {}
            etcd.add(host, started=True)
        else:
            return None
        return Completed(0)


def _error(why: str) -> Completed:
    return Completed(1, b"", f"Error: {why}".encode())
