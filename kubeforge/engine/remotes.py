"""Hosts by name, connected when first used, for all threads of a run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from kubeforge.inventory.model import Inventory
from kubeforge.transport.base import ByteSocket, Remote, Transport

if TYPE_CHECKING:
    from kubeforge.transport.connect import Connections

__all__ = ["ConnectedRemotes", "Looking", "Remotes"]


class Remotes(Protocol):
    """Where a session gets its hosts from."""

    def remote(self, host: str) -> Remote:
        """Return a host's Remote, connected; on any thread."""

    def open_stream(self, host: str, command: str) -> ByteSocket:
        """Start a command on a host; see `Transport.open_stream`."""

    def release(self, host: str) -> None:
        """Let go of a host that nobody uses now; it may be used again."""

    def close(self) -> None:
        """Close whatever was opened; may be called twice."""


class ConnectedRemotes:
    """Hosts as the inventory says they are reached.

    A connection that has died is opened anew when the host is used next, as nothing runs on it then; a command that
    was running when it died is the caller's to look into, never repeated here.

    Args:
        inventory: how each host is reached.
        connections: the pool; None: one of its own.
    """

    def __init__(self, inventory: Inventory, connections: Connections | None = None) -> None:
        from kubeforge.transport.connect import Connections  # noqa: PLC0415 - `--help` needs no transport

        self._inventory = inventory
        self._connections = connections or Connections()
        self._remotes: dict[str, tuple[Transport, Remote]] = {}
        self._lock = threading.Lock()

    def remote(self, host: str) -> Remote:
        """Return a host's Remote.

        Raises:
            ConnectionFailed: it cannot be reached or entered.
        """
        from kubeforge.transport.remote import ShellRemote  # noqa: PLC0415 - `--help` needs no transport

        transport = self._connections.get(self._inventory.hosts[host])
        with self._lock:
            known = self._remotes.get(host)
            if known is None or known[0] is not transport:
                known = transport, ShellRemote(transport)
                self._remotes[host] = known
            return known[1]

    def open_stream(self, host: str, command: str) -> ByteSocket:
        """Start a command on a host.

        Raises:
            ConnectionFailed: it cannot be reached or entered.
        """
        return self._connections.get(self._inventory.hosts[host]).open_stream(command)

    def release(self, host: str) -> None:
        """Close a host's connection; the next use opens another."""
        with self._lock:
            self._remotes.pop(host, None)
        self._connections.drop(host)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()


class Looking:
    """Who looks at hosts beside the host's own part of the run: no connection is closed under them.

    Args:
        remotes: the hosts.
    """

    def __init__(self, remotes: Remotes) -> None:
        self._remotes = remotes
        self._looked_at: set[str] = set()
        self._lock = threading.Lock()

    def remote(self, host: str) -> Remote:
        """Return the Remote of a host for tasks of any other; on any thread."""
        with self._lock:
            self._looked_at.add(host)
        return self._remotes.remote(host)

    def ended(self) -> None:
        """Nobody looks at any host now."""
        with self._lock:
            self._looked_at.clear()

    def release(self, host: str) -> None:
        """Let go of a host whose own part has ended, unless others may be looking at it."""
        with self._lock:
            if host not in self._looked_at:
                self._remotes.release(host)
