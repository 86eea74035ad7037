"""The TCP socket under an SSH connection.

Own, because paramiko's has neither TCP_NODELAY (22 exec/s instead of 437) nor a deadline for a peer that died without
a word. Linux only: the options are those of tcp(7).
"""

from __future__ import annotations

import errno
import socket
import time

from kubeforge.errors import ConnectionFailed

__all__ = ["PromptSocket", "dial"]

_READ_AHEAD = 1 << 16  # bytes
# A killed host sends no RST. Idle: probes after 15 s, three, 5 s apart. Busy: unanswered data for 30 s.
_KEEP_IDLE = 15
_KEEP_INTERVAL = 5
_KEEP_COUNT = 3
_USER_TIMEOUT_MS = 30_000


class PromptSocket(socket.socket):
    """Acknowledges at once, and reads ahead.

    sshd runs with Nagle until the first exec, so a delayed ACK costs 40 ms per connection. paramiko reads every packet
    by two calls, however small it is; one call to the kernel serves all that has come.
    """

    _ahead = b""
    _taken = 0

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, then ask for prompt ACKs again (the option is not sticky on Linux)."""
        if self._taken == len(self._ahead):
            self._ahead, self._taken = super().recv(max(size, _READ_AHEAD), flags), 0
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data = self._ahead[self._taken : self._taken + size]
        self._taken += len(data)
        return data


def dial(address: str, port: int, *, timeout: float, host: str) -> PromptSocket:
    """Connect by TCP, trying every address of the name.

    Args:
        address: name or IP address.
        port: TCP port.
        timeout: seconds for all attempts together (name resolution has the resolver's own limits).
        host: inventory name, for the message.

    Raises:
        ConnectionFailed: with the cause in one sentence and what to do.
    """
    until = time.monotonic() + timeout
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise ConnectionFailed(
            f"the name {address} is not known ({getattr(error, 'strerror', None) or error})",
            host=host,
            step="connect",
            remedy="correct ansible_host in the inventory, or add the name to DNS or /etc/hosts",
        ) from error
    last: OSError = TimeoutError()
    for family, kind, protocol, _, target in found:
        sock = PromptSocket(family, kind, protocol)
        try:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            sock.connect(target)
            _set_options(sock)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise _failure(last, address, port, timeout, host) from last


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEP_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEP_COUNT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _failure(error: OSError, address: str, port: int, timeout: float, host: str) -> ConnectionFailed:
    where = f"{address} port {port}"
    if isinstance(error, ConnectionRefusedError):
        cause = f"{where} refuses the connection: the host is up, but no sshd listens there"
        remedy = "start sshd on the host, or correct ansible_port"
    elif isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        cause = f"no answer from {where} within {timeout:g} s"
        remedy = "see that the host is up and no firewall drops the packets; ansible_timeout sets the limit"
    elif error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        cause = f"no route to {where}"
        remedy = "see that the host is up and in a network this machine reaches; ansible_host sets the address"
    else:
        cause = f"cannot connect to {where}: {error.strerror or error}"
        remedy = "correct ansible_host and ansible_port in the inventory"
    return ConnectionFailed(cause, host=host, step="connect", remedy=remedy)
