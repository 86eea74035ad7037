"""`SshTransport`: one host over SSH, as the engine uses it.

The parts: ssh_config.py says where to, sockets.py and ssh_session.py connect, known_hosts.py trusts, ssh_auth.py logs
in, ssh_exec.py runs, sudo.py becomes root, ssh_access.py keeps what all connections share. Reconnecting is the
caller's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import paramiko

from kubeforge.errors import ConnectionFailed
from kubeforge.transport.base import ByteSocket, Completed
from kubeforge.transport.ssh_channel import BROKEN, ChannelSocket
from kubeforge.transport.ssh_exec import execute
from kubeforge.transport.ssh_session import Session
from kubeforge.transport.ssh_stream import open_stream
from kubeforge.transport.sudo import Sudo

__all__ = ["SshTransport"]

_TUNNEL_SECONDS = 15.0


class SshTransport:
    """A logged-in session.

    Args:
        host: inventory name.
        session: logged in.
        sudo: how every command becomes root; None: as the user who logged in.
        on_close: called once after closing.
    """

    def __init__(
        self, host: str, session: Session, sudo: Sudo | None = None, on_close: Callable[[], None] | None = None
    ) -> None:
        self._host = host
        self._sudo = sudo
        self._on_close = on_close
        self.session = session

    @property
    def host(self) -> str:
        """Inventory name."""
        return self._host

    @property
    def alive(self) -> bool:
        """Whether the connection is up, as far as this side knows."""
        return self.session.is_active()

    def run(self, command: str, stdin: Iterable[bytes] = (), *, deadline: float) -> Completed:
        """Run one POSIX-sh command line; see `base.Transport.run`.

        Args:
            command: short; scripts and data go through `stdin`.
            stdin: chunks, streamed; never joined in memory.
            deadline: seconds for the whole exchange.

        Raises:
            ConnectionFailed: the connection was dead before the command began.
            ConnectionLost: it broke after the command had begun.
            BecomeFailed: sudo refused.
            DeadlineExceeded: the command did not end in time; the channel is closed.
            OperationFailed: it printed more than 64 MiB.
        """
        sudo = self._sudo.begin(command) if self._sudo else None
        line = sudo.command if sudo else command
        return execute(self.session, line, stdin, host=self._host, deadline=deadline, sudo=sudo)

    def open_stream(self, command: str) -> ByteSocket:
        """Start one command line; see `base.Transport.open_stream`.

        Raises:
            ConnectionFailed: the connection is gone.
            BecomeFailed: sudo refused.
        """
        return open_stream(self.session, command, host=self._host, sudo=self._sudo)

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Open a TCP stream from the remote host to `host:port` (SSH direct-tcpip).

        Raises:
            ConnectionFailed: nothing answers there, or sshd forbids forwarding.
        """
        try:
            return ChannelSocket(
                self.session.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=_TUNNEL_SECONDS)
            )
        except paramiko.ChannelException as error:
            cause = f"no tunnel to {host} port {port}: {error.text}"
            remedy = "see that it listens there, and that sshd allows TCP forwarding (AllowTcpForwarding)"
        except BROKEN as error:
            cause = f"no tunnel to {host} port {port}: {error or 'the connection is gone'}"
            remedy = "see that the host is up, then run again"
        raise ConnectionFailed(cause, host=self._host, step="tunnel", remedy=remedy)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self.session.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
