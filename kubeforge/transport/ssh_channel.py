"""A session's channel as a socket: what a jump host leads to, a tunnel, a command that lasts.

paramiko closes a channel, and widens its window, by sending a message. On a connection that has just broken that
raises EOFError or SSHException; behind a jump host in a thread of paramiko's own, where nobody can catch it. A socket
raises OSError when it is used and nothing when it is closed, and so does this.
"""

from __future__ import annotations

import contextlib
from typing import Final

import paramiko

__all__ = ["BROKEN", "ChannelSocket", "hang_up"]

BROKEN: Final = (paramiko.SSHException, EOFError, OSError)
"""What a channel raises once its connection is gone."""


def hang_up(channel: paramiko.Channel) -> None:
    """Close `channel`; where its connection is gone there is nobody left to tell."""
    with contextlib.suppress(*BROKEN):
        channel.close()


class ChannelSocket:
    """The part of a socket that paramiko and `base.ByteSocket` need, over `channel`.

    Args:
        channel: open.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    @property
    def _closed(self) -> bool:
        """Whether it was closed: paramiko asks its socket so when it ends a session."""
        return self._channel.closed

    def recv(self, size: int, /) -> bytes:
        """Receive up to `size` bytes; empty at the end.

        Raises:
            TimeoutError: nothing came in time.
            OSError: the connection broke.
        """
        try:
            return self._channel.recv(size)
        except (paramiko.SSHException, EOFError) as error:
            raise _reset(error) from error

    def send(self, data: bytes, /) -> int:
        """Send some of `data`; return how much.

        Raises:
            TimeoutError: nothing could be sent in time.
            OSError: the other side takes no more, or the connection broke.
        """
        try:
            return self._channel.send(data)
        except (paramiko.SSHException, EOFError) as error:
            raise _reset(error) from error

    def sendall(self, data: bytes, /) -> None:
        """Send all of `data`; raises as `send`."""
        rest = memoryview(data)
        while rest:
            sent = self.send(rest)  # type: ignore[arg-type]  # any buffer will do
            if sent == 0:
                raise BrokenPipeError("the channel is closed")
            rest = rest[sent:]

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later call."""
        self._channel.settimeout(seconds)

    def shutdown(self, how: int, /) -> None:
        """Shut down one or both ways, as `socket.shutdown`."""
        try:
            self._channel.shutdown(how)
        except (paramiko.SSHException, EOFError) as error:
            raise _reset(error) from error

    def close(self) -> None:
        """Close the channel; never raises, may be called twice."""
        hang_up(self._channel)


def _reset(error: Exception) -> ConnectionResetError:
    return ConnectionResetError(str(error) or "the connection is gone")
