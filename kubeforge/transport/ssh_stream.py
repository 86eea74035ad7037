"""One command over one session channel as a byte stream, for what lasts as long as a run: the cluster's lock.

Standard error is read only until sudo has let the command begin.
"""

from __future__ import annotations

import time
from typing import Final

import paramiko

from kubeforge.errors import ConnectionFailed, ConnectionLost
from kubeforge.transport.base import ByteSocket
from kubeforge.transport.ssh_channel import BROKEN, ChannelSocket, hang_up
from kubeforge.transport.ssh_session import Session, start_command
from kubeforge.transport.sudo import Sudo, SudoExchange

__all__ = ["open_stream"]

_BEGIN_WITHIN: Final = 20.0  # seconds that sudo may take
_CHUNK: Final = 4096


def open_stream(session: Session, command: str, *, host: str, sudo: Sudo | None) -> ByteSocket:
    """Start `command`; return its standard input and output.

    Raises:
        ConnectionFailed: the session is dead, or opens no further channel.
        BecomeFailed: sudo refused.
    """
    exchange = sudo.begin(command) if sudo else None
    try:
        channel = session.open_session(timeout=_BEGIN_WITHIN)
    except BROKEN as error:
        raise _refused(host, error) from error
    try:
        channel.settimeout(_BEGIN_WITHIN)
        start_command(session, channel, exchange.command if exchange else command, _BEGIN_WITHIN)
        if exchange is not None:
            _become(channel, exchange, host)
    except BROKEN as error:
        hang_up(channel)
        raise _refused(host, error) from error
    except BaseException:
        hang_up(channel)
        raise
    return ChannelSocket(channel)


def _refused(host: str, error: Exception) -> ConnectionFailed:
    return ConnectionFailed(
        f"it starts no command: {error or 'the connection is gone'}",
        host=host,
        step="stream",
        remedy="see that the host is up, then run again",
    )


def _become(channel: paramiko.Channel, exchange: SudoExchange, host: str) -> None:
    """Give the password where one is wanted, and wait until the command has begun."""
    if exchange.first:
        channel.sendall(exchange.first)
    said = b""
    until = time.monotonic() + _BEGIN_WITHIN
    while not exchange.begun(said):
        channel.settimeout(max(until - time.monotonic(), 0.1))
        piece = channel.recv_stderr(_CHUNK)
        if not piece:
            exchange.own(said)  # raises, with what sudo said
            raise ConnectionLost("the connection broke", host=host, step="sudo", remedy="run again")
        said += piece
    channel.sendall(exchange.then)
