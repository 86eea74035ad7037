"""Hosts in memory where a session wants hosts: the public fake for tests of playbooks, tasks and scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeforge.engine.model import Facts
from kubeforge.errors import ConnectionFailed
from kubeforge.operations.model import Observation, Queries
from kubeforge.transport.base import ByteSocket, Remote
from kubeforge.transport.memory import MemoryHost

__all__ = ["MemoryRemotes", "ordinary_facts"]


def ordinary_facts(name: str, **changes: Any) -> Facts:
    """Return facts of an ordinary Debian 12 host.

    Args:
        name: its host name.
        changes: facts that shall be others: `os_like=frozenset({"rhel"})`.
    """
    gib = 2**30
    values: dict[str, Any] = {
        "hostname": name,
        "os_id": "debian",
        "os_like": frozenset({"debian"}),
        "os_version": "12",
        "os_name": "Debian GNU/Linux 12 (in memory)",
        "arch": "amd64",
        "kernel": "6.1.0-30-amd64",
        "cpus": 2,
        "memory": 4 * gib,
        "disks": {"/": (20 * gib, 40 * gib)},
        "clock_skew": 0.0,
        "cgroup": 2,
        "systemd": True,
        "selinux": "disabled",
        "swap": (),
        "addresses": {"eth0": ("192.0.2.11/24",)},
        "listening": {},
        "capabilities": (1 << 41) - 1,
        "resolv_conf": "/etc/resolv.conf",
    }
    return Facts(**{**values, **changes})


class MemoryRemotes:
    """Hosts in memory by name.

    Args:
        hosts: name -> host; one that is not among them cannot be reached.
        facts: name -> what it is; any other is an ordinary one.
    """

    def __init__(self, hosts: Mapping[str, MemoryHost], facts: Mapping[str, Facts] | None = None) -> None:
        self._hosts = dict(hosts)
        self._facts = dict(facts or {})
        for name in self._facts.keys() & self._hosts.keys():
            self._hosts[name].release = " ".join(sorted(self._facts[name].os_like))

    def remote(self, host: str) -> Remote:
        """Return a host."""
        if host not in self._hosts:
            raise ConnectionFailed("is not in memory", host=host, remedy="give it among the hosts in memory")
        return self._hosts[host]

    def open_stream(self, host: str, command: str) -> ByteSocket:  # noqa: ARG002 - part of the protocol
        """Refuse: no command runs in memory."""
        raise ConnectionFailed("there are no streams in memory", host=host)

    def release(self, host: str) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is open."""

    def read(self, remote: Remote, reads: Queries, waits: Callable[[str], None]) -> tuple[Facts, Observation]:  # noqa: ARG002 - part of the protocol
        """Return a host's facts and what it is asked; see facts.gather."""
        return self._facts.get(remote.host) or ordinary_facts(remote.host), remote.observe(reads)
