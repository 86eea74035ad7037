"""One command on many hosts, its output as it comes. It ends with its connection, whatever it has started.

On the host the command gets a session of its own. Beside it waits what ends it: when the stream closes (the deadline,
Ctrl-C, a broken connection), its whole process group gets TERM, and KILL a moment later.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from kubeforge.engine.events import Failure
from kubeforge.engine.executors import Executor
from kubeforge.errors import ConnectionLost, DeadlineExceeded, Interrupted, KubeforgeError
from kubeforge.operations.shell import quote
from kubeforge.transport.base import ByteSocket

__all__ = ["KEPT", "Answer", "alike", "command_line", "everywhere"]

KEPT: Final = 256 * 1024
"""Bytes of a host's output that are kept, its end; all of it is counted, and handed on as it comes."""
_PIECE: Final = 64 * 1024
_LOOK: Final = 0.5  # seconds between two looks at the clock where nothing is printed
_TRAILER: Final = 8  # bytes around the word, at most: a newline, a blank, a status, a newline
_UNKNOWN: Final = "look at the host: whether the command ended there is not known"
_LONGER: Final = "give it more time with --timeout, or find out what it waits for"

# $1: the command line; $2: the word before the exit status. Standard error goes with standard output. A process is
# named beside its group, as it may not lead one yet. Nobody else keeps the stream: it would not end with the command.
_END: Final = 'cat >/dev/null; kill -s TERM -- "-$1" "$1"; sleep 3; kill -s KILL -- "-$1"'
_RUN: Final = f"""
exec 3<&0
setsid sh -c "$1" </dev/null 2>&1 3<&- & job=$!
setsid sh -c {quote(_END)} sh "$job" <&3 >/dev/null 2>&1 3<&- & watch=$!
exec 3<&- </dev/null
wait "$job"; code=$?
kill -s KILL -- "-$watch" "$watch" 2>/dev/null
printf '\\n%s %s\\n' "$2" "$code"
"""

OpenStream = Callable[[str, str], ByteSocket]
Sink = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command came to on one host.

    Args:
        host: where.
        status: its exit status; None: it is not known, `failure` says why.
        output: the end of what it printed, at most `KEPT` bytes; both its streams.
        size: bytes it printed in all.
        digest: SHA-256 of all of it.
        seconds: how long it took.
        failure: why the host gave no answer.
    """

    host: str
    status: int | None = None
    output: bytes = b""
    size: int = 0
    digest: str = ""
    seconds: float = 0.0
    failure: Failure | None = None

    @property
    def good(self) -> bool:
        """Whether the command ran and ended with 0."""
        return self.status == 0


def command_line(command: str, *, word: str) -> str:
    """Return what is run on a host: the command, followed by `word` and its exit status.

    Args:
        command: a line for POSIX sh there.
        word: that no command prints.
    """
    return f"exec sh -c {quote(_RUN)} sh {quote(command)} {quote(word)}"


def everywhere(
    command: str,
    hosts: Sequence[str],
    open_stream: OpenStream,
    *,
    executor: Executor,
    deadline: float,
    sink: Sink = lambda _host, _piece: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Answer]:
    """Run a command on hosts, some at once; yield each answer when it is there.

    Args:
        command: a line for POSIX sh.
        hosts: begun in order.
        open_stream: starts a command on a host.
        executor: what runs the hosts.
        deadline: seconds for each host.
        sink: is told what is printed, as it comes, from several threads.
        stop: once it is true running commands are ended and no further host begins.
    """
    word = f"kubeforge-{secrets.token_hex(8)}"
    line = command_line(command, word=word)

    def one(host: str) -> Answer:
        heard = _Heard(host=host, word=word.encode(), sink=sink)
        began = time.monotonic()
        status, failure = None, None
        try:
            with closing(open_stream(host, line)) as stream:
                heard.listen(stream, deadline=deadline, stop=stop)
            status = heard.status()
        except KubeforgeError as error:
            failure = Failure.of(error, host=host, step="exec")
        return heard.answer(status, failure, time.monotonic() - began)

    for _, answer in executor.each(one, hosts, stop=stop):
        yield answer


def alike(answers: Sequence[Answer]) -> list[tuple[Answer, ...]]:
    """Return the answers in groups of those that are the same, the biggest group first."""
    groups: dict[object, list[Answer]] = {}
    for answer in answers:
        cause = answer.failure.cause if answer.failure else None
        groups.setdefault((answer.status, answer.digest, cause), []).append(answer)
    return [tuple(group) for group in sorted(groups.values(), key=len, reverse=True)]


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What a host has printed so far. What may be the beginning of the trailer is held back."""

    host: str
    word: bytes
    sink: Sink
    kept: bytearray = field(default_factory=bytearray)
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    back: bytes = b""

    def listen(self, stream: ByteSocket, *, deadline: float, stop: Callable[[], bool]) -> None:
        """Read to the end.

        Raises:
            ConnectionLost: the connection broke.
            DeadlineExceeded: the command did not end within so many seconds.
            Interrupted: `stop`.
        """
        until = time.monotonic() + deadline
        stream.settimeout(min(_LOOK, deadline))
        while True:
            try:
                piece = stream.recv(_PIECE)
            except TimeoutError:
                _look(until, deadline, stop)
                continue
            except OSError as error:
                raise ConnectionLost(f"the connection broke while the command ran: {error}", remedy=_UNKNOWN) from None
            if not piece:
                return
            self._take(piece)
            _look(until, deadline, stop)

    def status(self) -> int:
        """Return the exit status, once all is read.

        Raises:
            ConnectionLost: the answer is not whole.
        """
        output, found, rest = self.back.rpartition(b"\n" + self.word + b" ")
        self.back = b""
        self._give(output if found else rest)
        code = rest.strip() if found else b""
        if not code.isdigit():
            raise ConnectionLost("the connection ended before the command did", remedy=_UNKNOWN)
        return int(code)

    def answer(self, status: int | None, failure: Failure | None, seconds: float) -> Answer:
        """Return it as a value."""
        self._give(self.back)
        return Answer(
            host=self.host,
            status=status,
            output=bytes(self.kept[-KEPT:]),
            size=self.size,
            digest=self.digest.hexdigest(),
            seconds=seconds,
            failure=failure,
        )

    def _take(self, piece: bytes) -> None:
        whole = self.back + piece
        held = len(self.word) + _TRAILER
        self.back = whole[-held:]
        self._give(whole[:-held])

    def _give(self, piece: bytes) -> None:
        if not piece:
            return
        self.size += len(piece)
        self.digest.update(piece)
        self.kept += piece
        if len(self.kept) > 2 * KEPT:
            del self.kept[:-KEPT]
        self.sink(self.host, piece)


def _look(until: float, deadline: float, stop: Callable[[], bool]) -> None:
    if stop():
        raise Interrupted("the command was ended: Ctrl-C")
    if time.monotonic() > until:
        raise DeadlineExceeded(f"the command did not end within {deadline:g} s and was ended", remedy=_LONGER)
