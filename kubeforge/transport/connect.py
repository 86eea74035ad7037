"""From an inventory host to an open transport, and the connections of one run."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Self

from kubeforge.errors import BecomeFailed, ConnectionFailed, ConnectionLost
from kubeforge.inventory.model import Host
from kubeforge.transport.base import Transport
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.ssh_ahead import import_ahead

if TYPE_CHECKING:
    from kubeforge.transport.ssh_access import SshAccess
    from kubeforge.transport.ssh_keys import AskPassphrase

__all__ = ["Connections", "connect"]


def connect(host: Host, *, access: SshAccess | None = None) -> Transport:
    """Open a transport to `host`, by its connection's kind.

    Args:
        host: from the inventory.
        access: what SSH connections share (known hosts, keys, jump hosts); None: nothing is shared.

    Raises:
        ConnectionFailed: and its subclasses; one sentence of cause, one of remedy.
    """
    if host.connection.kind == "local":
        return LocalTransport(host.name, prefix=_local_prefix(host))
    if host.connection.kind != "ssh":
        raise ConnectionFailed(
            f"ansible_connection {host.connection.kind!r} is not known",
            host=host.name,
            step="connect",
            remedy="use ssh or local",
        )
    if access is not None:
        return access.open(host)
    own = _new_access()
    try:
        return own.open(host, on_close=own.close)
    except BaseException:
        own.close()
        raise


def _new_access(ask_passphrase: AskPassphrase | None = None) -> SshAccess:
    from kubeforge.transport.ssh_access import SshAccess as Access  # noqa: PLC0415 - only where a host wants SSH

    import_ahead()

    return Access(ask_passphrase=ask_passphrase)


def _local_prefix(host: Host) -> tuple[str, ...]:
    """Return what makes a local command run as become_user; nothing where the caller is that user already.

    Raises:
        BecomeFailed: a password would be needed.
    """
    wanted = host.connection.become_user
    already = os.geteuid() == 0 if wanted == "root" else wanted == getpass.getuser()
    if already or not host.connection.become:
        return ()
    if host.connection.become_password is not None:
        raise BecomeFailed(
            "sudo with a password is served over SSH only",
            host=host.name,
            step="connect",
            remedy="run kubeforge itself as root, or allow sudo without a password here",
        )
    return ("sudo", "-n", "-H", "-u", wanted, "--")


class Connections:
    """At most one open connection per host, opened when first asked for, closed together; safe for threads.

    Args:
        opener: makes a transport; `connect` with a shared `SshAccess` when None.
        access: shared by all SSH connections; made when first needed, closed with the rest.
        ask_passphrase: of an `access` made here: asks a person for an encrypted key file's passphrase.
    """

    def __init__(
        self,
        opener: Callable[[Host], Transport] | None = None,
        *,
        access: SshAccess | None = None,
        ask_passphrase: AskPassphrase | None = None,
    ) -> None:
        self._opener = opener
        self._access = access
        self._ask_passphrase = ask_passphrase
        self._open: dict[str, Transport] = {}
        self._entered: set[str] = set()
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def get(self, host: Host) -> Transport:
        """Return the host's transport, opened now if there is none, or if the one there was has died.

        Raises:
            ConnectionFailed: and its subclasses; the next call tries again. ConnectionLost: the host had been entered
                before, so it was there, and now it does not answer or lets nobody connect.
        """
        with self._lock:
            lock = self._locks.setdefault(host.name, Lock())
        with lock:
            found = self._open.get(host.name)
            if found is not None and not getattr(found, "alive", True):
                self.drop(host.name)
                found = None
            if found is None:
                found = self._connect_again(host) if host.name in self._entered else self._connect(host)
                self._open[host.name] = found
                self._entered.add(host.name)
            return found

    def drop(self, name: str) -> None:
        """Close one host's connection and forget it: the next `get` connects anew."""
        transport = self._open.pop(name, None)
        if transport is not None:
            transport.close()

    def close(self) -> None:
        """Close all connections."""
        while self._open:
            self._open.popitem()[1].close()
        with self._lock:
            access, self._access = self._access, None
        if access is not None:
            access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect_again(self, host: Host) -> Transport:
        """Connect to a host that was there: where that fails, what it was doing is named, not how it is entered.

        A host that is about to die refuses connections for a moment, before it answers nobody.
        """
        try:
            return self._connect(host)
        except ConnectionFailed as error:
            if type(error) is not ConnectionFailed:  # another key, another user: that says itself what it is
                raise
            raise ConnectionLost(
                f"the connection is gone, and there is no new one: {error.cause}",
                host=host.name,
                remedy="see that the host is up, then run again",
            ) from error

    def _connect(self, host: Host) -> Transport:
        if self._opener is not None:
            return self._opener(host)
        if host.connection.kind == "ssh":
            with self._lock:
                if self._access is None:
                    self._access = _new_access(self._ask_passphrase)
        return connect(host, access=self._access)
