"""What all SSH connections of a run share, and how one of them is made.

Known hosts, ssh_config and key files are read once; a jump host is entered once and serves all hosts behind it.
Whatever needs paramiko is imported inside functions, after dialling (ssh_ahead.py says why).
"""

# ruff: noqa: PLC0415
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.model import Connection, Host
from kubeforge.secret import Secret
from kubeforge.transport.known_hosts import KnownHostsCache
from kubeforge.transport.sockets import dial
from kubeforge.transport.ssh_config import Endpoint, Hop, SshConfig, resolve
from kubeforge.transport.ssh_keys import AskPassphrase, KeyRing
from kubeforge.transport.sudo import Sudo

if TYPE_CHECKING:
    from kubeforge.transport.ssh import SshTransport
    from kubeforge.transport.ssh_session import Session

__all__ = ["SshAccess"]


class SshAccess:
    """Opens SSH connections; safe for threads.

    Args:
        home: whose `.ssh` is read; the caller's own when None.
        ask_passphrase: asks a person for an encrypted key file's passphrase.
        known_hosts: parsed files, shared with others.
    """

    def __init__(
        self,
        *,
        home: Path | None = None,
        ask_passphrase: AskPassphrase | None = None,
        known_hosts: KnownHostsCache | None = None,
    ) -> None:
        self._home = home or Path.home()
        self._config = SshConfig(self._home)
        self._keys = KeyRing(ask_passphrase)
        self._known = known_hosts or KnownHostsCache()
        self._jumps: dict[tuple[object, ...], Session] = {}
        self._jump_locks: dict[tuple[object, ...], Lock] = {}
        self._lock = Lock()

    def open(self, host: Host, *, on_close: Callable[[], None] | None = None) -> SshTransport:
        """Connect to `host` and log in.

        Args:
            host: from the inventory.
            on_close: called once when the transport was closed.

        Raises:
            HostKeyRefused: its key is not known, or another.
            AuthenticationFailed: nothing that was offered is accepted.
            ConnectionFailed: it cannot be reached.
            InputError: ssh_config cannot be parsed.
        """
        connection = host.connection
        endpoint = resolve(host.name, connection, self._config, self._home)
        self._check_chain(endpoint, connection)
        session = self._enter(endpoint, connection, connection.password)
        from kubeforge.transport.ssh import SshTransport

        return SshTransport(host.name, session, _sudo(host.name, connection, endpoint.user), on_close)

    def close(self) -> None:
        """Close the jump hosts' connections; the hosts behind them lose theirs."""
        with self._lock:
            jumps = list(self._jumps.values())
            self._jumps.clear()
        for session in reversed(jumps):
            session.close()

    def _enter(self, endpoint: Endpoint, connection: Connection, password: Secret | None) -> Session:
        if not endpoint.jumps:
            sock = dial(endpoint.address, endpoint.port, timeout=endpoint.timeout, host=endpoint.name)
            return self._log_in(sock, endpoint, password)
        jump, via = self._through(endpoint, connection), str(endpoint.jumps[-1])
        from kubeforge.transport.ssh_session import hop_channel

        return self._log_in(hop_channel(jump, endpoint, via=via), endpoint, password, via=via)

    def _log_in(self, sock: object, endpoint: Endpoint, password: Secret | None, *, via: str | None = None) -> Session:
        from kubeforge.transport.ssh_auth import log_in
        from kubeforge.transport.ssh_session import start_session

        session = start_session(sock, endpoint, self._known.get(endpoint.known_hosts), via=via)
        try:
            log_in(session, endpoint, self._keys, password)
        except BaseException:
            session.close()
            raise
        session.relax()
        return session

    def _check_chain(self, endpoint: Endpoint, connection: Connection) -> None:
        """Raise where jump hosts lead to each other; before anything is locked or connected."""
        seen: list[tuple[Hop, ...]] = []
        each = endpoint
        while each.jumps:
            if each.jumps in seen:
                raise ConnectionFailed(
                    f"its jump hosts lead in a circle: {' > '.join(str(jumps[-1]) for jumps in (*seen, each.jumps))}",
                    host=endpoint.name,
                    step="connect",
                    remedy="exclude the jump host from its own rule in ssh_config: Host * !bastion",
                )
            seen.append(each.jumps)
            *before, last = each.jumps
            each = self._hop(last, tuple(before), connection)

    def _through(self, endpoint: Endpoint, connection: Connection) -> Session:
        """Return a session on the last hop of the endpoint's chain, opened if need be."""
        *before, last = endpoint.jumps
        key = (endpoint.jumps, connection.known_hosts, connection.key_file)
        with self._lock:
            lock = self._jump_locks.setdefault(key, Lock())
        with lock:
            found = self._jumps.get(key)
            if found is None or not found.is_active():
                found = self._enter(self._hop(last, tuple(before), connection), connection, None)
                with self._lock:
                    self._jumps[key] = found
            return found

    def _hop(self, hop: Hop, before: tuple[Hop, ...], connection: Connection) -> Endpoint:
        """Return the endpoint of a jump host: its own ssh_config, the inventory's key and known hosts."""
        jumps = ",".join(str(each) for each in before) or None
        own = Connection(
            address=hop.address,
            user=hop.user,
            port=hop.port,
            key_file=connection.key_file,
            known_hosts=connection.known_hosts,
            proxy_jump=jumps,
            connect_timeout=connection.connect_timeout,
        )
        return resolve(str(hop), own, self._config, self._home)


def _sudo(host: str, connection: Connection, login: str) -> Sudo | None:
    """Return how to become; root that shall become root needs no sudo, which may not even be installed."""
    if not connection.become or login == connection.become_user:
        return None
    return Sudo(host=host, login=login, user=connection.become_user, password=connection.become_password)
