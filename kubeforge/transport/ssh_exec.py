"""One command over one session channel: input streamed in, output drained at the same time, all of it bounded.

Does not retry and does not interpret the output. sshd ends a command's streams when the channel closes, but does not
kill the command: one that passed its deadline may go on.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Final

import paramiko

from kubeforge.errors import ConnectionFailed, ConnectionLost, DeadlineExceeded, OperationFailed
from kubeforge.transport.base import Completed
from kubeforge.transport.ssh_channel import BROKEN, hang_up
from kubeforge.transport.ssh_session import Session, exit_signal, start_command
from kubeforge.transport.sudo import SudoExchange

__all__ = ["CHUNK", "MAX_OUTPUT", "execute"]

CHUNK: Final = 1 << 18  # bytes: what is read and sent at a time
MAX_OUTPUT: Final = 64 << 20  # bytes of stdout and stderr together
_SILENCE: Final = 15.0  # seconds without a byte after which the host is asked whether it still lives
_PATIENCE: Final = 15.0  # seconds for its answer
_START_SECONDS: Final = 30.0  # for a channel and for the command's start: a fork, not the command
_INLINE: Final = 1 << 16  # bytes that fit into socket buffers, so that sending them cannot block for long
_GRACE: Final = 5.0  # seconds after the deadline at which a connection that takes no more data is cut
_NO_STATUS: Final = 255  # as ssh(1) when the remote side gave none


def execute(
    session: Session,
    command: str,
    stdin: Iterable[bytes],
    *,
    host: str,
    deadline: float,
    sudo: SudoExchange | None = None,
    max_output: int = MAX_OUTPUT,
) -> Completed:
    """Run `command` and return what it printed.

    Args:
        session: logged in.
        command: for the user's login shell.
        stdin: chunks; each is sent before the next is asked for.
        host: inventory name.
        deadline: seconds for all of it.
        sudo: the wrapping that `command` came from.
        max_output: bytes.

    Raises:
        ConnectionFailed: the session was dead before the command began.
        ConnectionLost: it broke after that.
        BecomeFailed: sudo refused.
        DeadlineExceeded: it did not end in time.
        OperationFailed: it printed more than `max_output`.
    """
    until = time.monotonic() + deadline
    try:
        channel = session.open_session(timeout=min(deadline, _START_SECONDS))
    except BROKEN as error:
        raise _not_begun(session, error, host) from error
    exchange = _Exchange(session, channel, host=host, deadline=deadline, until=until, max_output=max_output)
    try:
        done = exchange.run(command, stdin, sudo)
    except BaseException:
        if not _within(_GRACE, lambda: hang_up(channel)):
            session.close()
        raise
    hang_up(channel)
    return done


class _Exchange:
    """The state of one running command."""

    def __init__(
        self,
        session: Session,
        channel: paramiko.Channel,
        *,
        host: str,
        deadline: float,
        until: float,
        max_output: int,
    ) -> None:
        self._session = session
        self._channel = channel
        self._host = host
        self._deadline = deadline
        self._until = until
        self._max_output = max_output
        self._out = BytesIO()
        self._err = BytesIO()
        self._ready = threading.Event()
        self._feeder_error: BaseException | None = None

    def run(self, command: str, stdin: Iterable[bytes], sudo: SudoExchange | None) -> Completed:
        channel = self._channel
        channel.settimeout(self._left())
        wake = _Wake(self._ready)
        channel.in_buffer.set_event(wake)  # type: ignore[arg-type]  # it calls set and clear, as on an Event
        channel.in_stderr_buffer.set_event(wake)  # type: ignore[arg-type]  # likewise
        try:
            start_command(self._session, channel, command, min(self._left(), _START_SECONDS))
        except BROKEN as error:
            raise _not_begun(self._session, error, self._host) from error
        if sudo is not None and sudo.first:
            self._send(sudo.first)
            while not sudo.begun(self._err.getvalue()) and self._pump():
                pass
            stdin = chain((sudo.then,), stdin)
        feeder = self._feed(iter(stdin))
        if feeder is None:
            self._drain()
        else:
            with self._cut_off_late():
                self._drain()
                feeder.join(max(self._left(), 1.0))
        if self._feeder_error is not None:
            raise self._feeder_error
        return self._completed(sudo)

    @contextlib.contextmanager
    def _cut_off_late(self) -> Iterator[None]:
        """Cut the connection well after the deadline: a host that takes no data blocks whoever writes to it."""
        timer = threading.Timer(max(self._left(), 0) + _GRACE, self._session.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _drain(self) -> None:
        while self._pump():
            pass

    # -- output -------------------------------------------------------------------------------------------------

    def _pump(self) -> bool:
        """Wait for output, take it, and return whether more may come."""
        channel = self._channel
        self._wait()
        self._ready.clear()
        ended = channel.closed or (channel.eof_received and channel.status_event.is_set())
        for ready, receive, into in (
            (channel.recv_ready, channel.recv, self._out),
            (channel.recv_stderr_ready, channel.recv_stderr, self._err),
        ):
            while ready():
                try:
                    into.write(receive(CHUNK))
                except BROKEN as error:  # it also tells the host how much more it may send
                    raise self._lost() from error
                if self._out.tell() + self._err.tell() > self._max_output:
                    raise self._too_much()
        return not ended and self._feeder_error is None

    def _wait(self) -> None:
        if self._left() <= 0:
            raise self._late()
        event = self._channel.status_event if self._channel.eof_received else self._ready
        if event.wait(min(self._left(), _SILENCE)):
            return
        if self._left() <= 0:
            raise self._late()
        self._ask_whether_alive()

    def _ask_whether_alive(self) -> None:
        """Open and close a second channel: any answer, a refusal too, shows that the host lives."""
        patience = min(_PATIENCE, max(self._left(), 1.0))

        def ask() -> bool:
            try:
                self._session.open_session(timeout=patience).close()
            except paramiko.ChannelException:
                return True
            except BROKEN:
                return False
            return True

        if _within(patience + 1.0, ask):
            return
        if self._left() <= 0:
            raise self._late()
        self._session.close()
        raise self._lost()

    # -- input --------------------------------------------------------------------------------------------------

    def _feed(self, chunks: Iterator[bytes]) -> threading.Thread | None:
        """Send a little at once, the rest from a thread: output is drained meanwhile, and the deadline is kept."""
        sent = 0
        for chunk in chunks:
            sent += len(chunk)
            if sent > _INLINE or len(chunk) > self._channel.out_window_size:
                rest = chain((chunk,), chunks)
                feeder = threading.Thread(target=self._feed_all, args=(rest,), name=f"feed {self._host}", daemon=True)
                feeder.start()
                return feeder
            self._send(chunk)
        self._end_input()
        return None

    def _feed_all(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                if not self._send(chunk):
                    break
            self._end_input()
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread, which raises it
            self._feeder_error = error
            self._ready.set()

    def _send(self, chunk: bytes) -> bool:
        """Send one chunk; return False when the command takes no more (its status says why)."""
        view = memoryview(chunk)
        while view:
            if self._left() <= 0:
                raise self._late()
            self._channel.settimeout(self._left())
            try:
                sent = self._channel.send(view[:CHUNK])  # type: ignore[arg-type]  # any buffer will do
            except TimeoutError as error:
                raise self._late() from error
            except BROKEN:
                return False
            if sent == 0:
                return False
            view = view[sent:]
        return True

    def _end_input(self) -> None:
        with contextlib.suppress(*BROKEN):  # closed meanwhile: the status says why
            self._channel.shutdown_write()

    # -- end ----------------------------------------------------------------------------------------------------

    def _completed(self, sudo: SudoExchange | None) -> Completed:
        channel = self._channel
        if not self._session.is_active() and not (channel.eof_received and channel.exit_status >= 0):
            raise self._lost()
        stderr = self._err.getvalue()
        return Completed(
            status=_status(channel),
            stdout=self._out.getvalue(),
            stderr=stderr if sudo is None else sudo.own(stderr),
        )

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _late(self) -> DeadlineExceeded:
        tail = self._err.getvalue()[-2000:].decode(errors="replace").splitlines()[-5:]
        return DeadlineExceeded(
            f"the command did not end within {self._deadline:g} s",
            host=self._host,
            step="run",
            evidence=tail,
            remedy="it may still run on the host: look there (ps -ef), then run again",
        )

    def _too_much(self) -> OperationFailed:
        return OperationFailed(
            f"the command printed more than {self._max_output >> 20} MiB",
            host=self._host,
            step="run",
            remedy="let it write into a file on the host, or print less",
        )

    def _lost(self) -> ConnectionLost:
        error = self._session.get_exception()
        why = f" ({error})" if error is not None and str(error) else ""
        return ConnectionLost(
            f"the connection broke while a command ran{why}",
            host=self._host,
            step="run",
            remedy="what was done there is not known: see that the host is up and run again; its state is read first",
        )


class _Wake:
    """What paramiko's buffers signal: data or the end. Emptying one buffer must not hide the other's data."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """Do nothing: only the reader clears, before it looks at both buffers."""


def _within(seconds: float, work: Callable[[], object]) -> bool:
    """Run what may block, in a thread; return False when it did not end in time, or returned False."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(results) and results[0] is not False


def _status(channel: paramiko.Channel) -> int:
    if channel.exit_status >= 0:
        return channel.exit_status
    name = exit_signal(channel)
    if name is None:
        return _NO_STATUS
    number = signal.Signals.__members__.get(f"SIG{name}")
    return 128 + number if number is not None else _NO_STATUS


def _not_begun(session: Session, error: Exception, host: str) -> ConnectionFailed:
    if isinstance(error, paramiko.ChannelException):
        cause, remedy = f"it opens no further session: {error.text}", "raise MaxSessions in its sshd_config"
    elif isinstance(error, TimeoutError):
        cause, remedy = "it does not answer", "see that the host is up and not overloaded, then run again"
    elif session.is_active():
        cause, remedy = f"it does not start the command: {error}", "look at the login shell of the user and sshd's log"
    else:
        cause, remedy = "the connection is gone", "see that the host is up, then run again"
    return ConnectionFailed(cause, host=host, step="run", remedy=remedy)
