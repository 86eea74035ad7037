"""The two narrow seams between the engine and a host.

`Transport` moves bytes: one exec with standard input, or a tunnel. `Remote` is what everything above uses: observe,
act, run, read, write, tunnel. The production `Remote` (`remote.ShellRemote`) speaks the observe/act protocol over any
`Transport`; the public fake (`memory.MemoryHost`) is a `Remote` that holds files, units and packages in dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kubeforge.operations.model import Change, Observation, Queries, Result
from kubeforge.secret import Secret

__all__ = ["ByteSocket", "Completed", "Remote", "Transport"]


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended.

    Args:
        status: exit status; 128 + n for signal n.
        stdout: what it printed, whole up to the transport's bound.
        stderr: likewise.
    """

    status: int
    stdout: bytes = b""
    stderr: bytes = b""


class ByteSocket(Protocol):
    """The part of a socket that a tunnel's user needs (paramiko's Channel and socket.socket both have it)."""

    def recv(self, size: int, /) -> bytes:
        """Receive up to `size` bytes; empty at the end."""

    def send(self, data: bytes, /) -> int:
        """Send some of `data`; return how much."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of `data`."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later call."""

    def close(self) -> None:
        """Close the stream."""


class Transport(Protocol):
    """Moves bytes to one host and back, as root where the inventory says `become`."""

    @property
    def host(self) -> str:
        """Inventory name."""

    def run(self, command: str, stdin: Iterable[bytes] = (), *, deadline: float) -> Completed:
        """Run one POSIX-sh command line.

        Args:
            command: short; scripts and data go through `stdin`.
            stdin: chunks, streamed; never joined in memory.
            deadline: seconds for the whole exchange.

        Raises:
            ConnectionFailed: and its subclasses; ConnectionLost when the command had begun.
            DeadlineExceeded: the command did not end in time; the channel is closed.
        """

    def open_stream(self, command: str) -> ByteSocket:
        """Start one POSIX-sh command line; return its standard input and output as one stream.

        It is told the end of its input when the stream or the connection closes. Standard error is not kept.

        Raises:
            ConnectionFailed: and its subclasses; nothing was started.
        """

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Open a TCP stream from the remote host to `host:port` (SSH direct-tcpip)."""

    def close(self) -> None:
        """Close the connection; may be called twice."""


class Remote(Protocol):
    """One host, as the engine, actions and checks use it."""

    @property
    def host(self) -> str:
        """Inventory name."""

    def observe(self, queries: Queries) -> Observation:
        """Answer `queries` in one read-only round trip.

        Raises:
            ConnectionFailed: see Transport.run.
            ProtocolError: the answer was cut off or is not ours.
        """

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        """Carry out `changes` in order in one exec; stops after the first that fails.

        First everything the guards name is compared with `seen`. What was there before is kept in a new generation.

        Args:
            changes: as decided.
            seen: the observation they were decided on (not the folded one).
            run_id: names the run in the host's note and generation.

        Returns:
            One result per change begun, in order; the last one may have failed.

        Raises:
            ChangedUnderneath: the host is not as seen; nothing was done.
            HostBusy: another act still runs there.
            ConnectionLost: the connection broke after the upload; the script goes on by itself on the host.
        """

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,
        expect: Sequence[int] = (0,),
    ) -> Completed:
        """Run one command; arguments are quoted here.

        Raises:
            OperationFailed: its exit status is not in `expect`; carries the end of its output.
        """

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            OperationFailed: it is missing or unreadable.
        """

    def write(self, path: str, content: bytes | Secret, *, mode: int = 0o600) -> None:
        """Write a file atomically, outside of any plan (only for what no generation should keep)."""

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Open a TCP stream from the remote host to `host:port`."""

    def close(self) -> None:
        """Close the connection; may be called twice."""
