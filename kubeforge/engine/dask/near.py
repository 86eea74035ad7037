"""What a worker near the hosts does: one exchange with one host, as plain values in and out. No dask in this module."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from kubeforge import errors
from kubeforge.engine.dask.seal import Seal
from kubeforge.engine.program import fault
from kubeforge.errors import KubeforgeError, Problem
from kubeforge.inventory.model import Host
from kubeforge.transport.connect import Connections
from kubeforge.transport.remote import ShellRemote

__all__ = ["LEAVE", "VERBS", "Call", "Refusal", "serve"]

VERBS: Final = frozenset({"observe", "act", "run", "read", "write"})
"""Methods of `Remote` that have plain values in and out."""

LEAVE: Final = "leave"
"""Closes a session's connections, or those to one host."""

_FORGOTTEN_AFTER: Final = 1800.0
"""Seconds without a call after which a session counts as killed: longer than any one change may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One exchange.

    Args:
        session: whose connections are used; names of hosts mean something in it alone.
        verb: of VERBS, or LEAVE.
        host: how it is reached; None with LEAVE: all.
        arguments: of the method.
        options: of the method, by keyword.
    """

    session: str
    verb: str
    host: Host | None = None
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as plain data, to be raised again on the controller."""

    error: str
    cause: str
    host: str | None = None
    step: str | None = None
    remedy: str | None = None
    evidence: tuple[str, ...] = ()

    @staticmethod
    def of(error: KubeforgeError) -> Refusal:
        """Return an error as data."""
        return Refusal(
            error=type(error).__name__,
            cause=error.cause,
            host=error.host,
            step=error.step,
            remedy=error.remedy,
            evidence=error.evidence,
        )

    def raised(self) -> KubeforgeError:
        """Return the error."""
        kind = getattr(errors, self.error, KubeforgeError)
        if kind is errors.InputError:
            return errors.InputError(
                [Problem(message=line) for line in self.evidence or (self.cause,)], remedy=self.remedy
            )
        made = KubeforgeError(self.cause, host=self.host, step=self.step, remedy=self.remedy, evidence=self.evidence)
        if not issubclass(kind, KubeforgeError) or kind.__init__ is not KubeforgeError.__init__:
            return made
        return kind(self.cause, host=self.host, step=self.step, remedy=self.remedy, evidence=self.evidence)


def serve(sealed: bytes) -> bytes:
    """Make one exchange; what a worker runs. Both ways sealed.

    Args:
        sealed: a Call.

    Returns:
        What the method returned, or a Refusal; sealed.

    Raises:
        InputError: this worker has no key.
        ProtocolError: it was sealed with another key.
    """
    seal = Seal.of_environment()
    call = seal.open(sealed)
    return seal.close(_answer(call))


def _answer(call: Call) -> Any:
    try:
        if call.verb == LEAVE:
            return _sessions().leave(call.session, call.host)
        if call.verb not in VERBS or call.host is None:
            return Refusal(error="ProtocolError", cause=f"{call.verb} is nothing that a worker does", step="executor")
        remote = ShellRemote(_sessions().of(call.session).get(call.host))
        return getattr(remote, call.verb)(*call.arguments, **call.options)
    except KubeforgeError as error:
        return Refusal.of(error)
    except Exception as error:  # noqa: BLE001 - it goes back to the controller, which names the host
        return Refusal.of(fault(error))


class _Sessions:
    """The connections of each session; a controller that was killed never says that it leaves."""

    def __init__(self) -> None:
        self._open: dict[str, Connections] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def of(self, session: str) -> Connections:
        with self._lock:
            now = time.monotonic()
            self._used[session] = now
            old = [name for name, used in self._used.items() if now - used > _FORGOTTEN_AFTER]
            gone = [self._open.pop(name) for name in old if self._used.pop(name) and name in self._open]
            found = self._open.setdefault(session, Connections())
        for connections in gone:
            connections.close()
        return found

    def leave(self, session: str, host: Host | None) -> None:
        with self._lock:
            found = self._open.get(session) if host else self._open.pop(session, None)
        if found is not None:
            found.drop(host.name) if host else found.close()


@cache
def _sessions() -> _Sessions:
    """The worker process's own: connections outlive a call."""
    return _Sessions()
