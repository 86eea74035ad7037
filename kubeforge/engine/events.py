"""What happens in a run, as typed values sent to sinks: the console, JSON lines, the journal.

Events carry names, counts, titles and messages; never a secret, never a file's content. This module prints nothing and
writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from kubeforge.errors import ConnectionFailed, ConnectionLost, KubeforgeError

__all__ = [
    "WARNING",
    "ActionSaid",
    "ChangeDone",
    "Collected",
    "Event",
    "Events",
    "Failure",
    "HostDone",
    "HostFacts",
    "HostFailed",
    "HostWaits",
    "PlanReady",
    "PlayDone",
    "PlayStarted",
    "RunDone",
    "RunStarted",
    "Sink",
    "StepDone",
    "StepFailed",
    "StepStarted",
    "Stopping",
    "Warned",
    "as_data",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as data: what the report, the journal and the exit code need of it.

    Args:
        error: name of the class in kubeforge.errors.
        cause: one sentence.
        exit_code: of the class.
        host: where it happened.
        step: what was being done.
        remedy: what to do next.
        evidence: log lines, oldest first.
    """

    error: str
    cause: str
    exit_code: int = 1
    host: str | None = None
    step: str | None = None
    remedy: str | None = None
    evidence: tuple[str, ...] = ()

    @staticmethod
    def of(error: KubeforgeError, *, host: str | None = None, step: str | None = None) -> Failure:
        """Return `error` as data; `host` and `step` fill what it does not say itself."""
        return Failure(
            error=type(error).__name__,
            cause=error.cause,
            exit_code=error.exit_code,
            host=error.host or host,
            step=error.step or step,
            remedy=error.remedy,
            evidence=error.evidence,
        )

    @property
    def is_away(self) -> bool:
        """Whether the host could not be reached; one that answers, and lets nobody in, is another matter."""
        return self.error in (ConnectionFailed.__name__, ConnectionLost.__name__)

    def __str__(self) -> str:
        error = KubeforgeError(self.cause, host=self.host, step=self.step, remedy=self.remedy, evidence=self.evidence)
        return str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Args:
        at: seconds since the epoch on the controller.
    """

    at: float = field(default_factory=time.time, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A plan or an apply begins on `hosts`; `mode` is `plan` or `apply`."""

    run_id: str
    mode: str
    playbook: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts(Event):
    """A host has answered; `about` is one line, `seconds` is what it took, connection included."""

    host: str
    about: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWaits(Event):
    """A host cannot be asked yet: `message` says what goes on there; it is waited for at most `limit` seconds."""

    host: str
    message: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something to know that stops nothing: an earlier run was cut off, a clock is off."""

    host: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFailed(Event):
    """A host could not be planned and takes no part, or it lost the run's lock."""

    host: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReady(Event):
    """The plan is made: so many changes, on so many hosts."""

    changes: int
    hosts: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayStarted(Event):
    """A play begins; `hosts` are those with something to do."""

    play: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A host begins a step: a batch of `changes` operations, or an action."""

    host: str
    play: str
    step: str
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDone(Event):
    """One change was made; `every_run`: nothing on the host tells it."""

    host: str
    play: str
    step: str
    title: str
    verb: str
    why: str
    seconds: float
    every_run: bool = False


WARNING: Final = "warning: "
"""What an action's message begins with that a person shall read, whatever comes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSaid(Event):
    """An action tells how far it is, or warns; see `WARNING`."""

    host: str
    step: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """A step ended well."""

    host: str
    play: str
    step: str
    changes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(Event):
    """A step failed; the host takes no further part."""

    host: str
    play: str
    step: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDone(Event):
    """A host has ended its part of a play."""

    host: str
    play: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayDone(Event):
    """All hosts have ended a play."""

    play: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected(Event):
    """Old generations of a host were folded into one, and programs that nothing needs went; `size` in bytes."""

    host: str
    generations: int
    programs: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    """The run will stop after what runs now; `why` says what asked for it."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDone(Event):
    """The run ended.

    Args:
        changed: changes made, over all hosts.
        remaining: planned changes that were not made.
        failures: what went wrong, in the order of time.
    """

    run_id: str
    changed: int
    remaining: int
    failures: tuple[Failure, ...]
    seconds: float
    exit_code: int


Sink = Callable[[Event], None]


class Events:
    """Sends each event to every sink, one event at a time whatever thread it comes from.

    Args:
        sinks: called in order; they must be quick and raise nothing foreseeable.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self._sinks = list(sinks)
        self._lock = threading.Lock()

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Who is told."""
        return tuple(self._sinks)

    def emit(self, event: Event) -> None:
        """Send one event."""
        with self._lock:
            for sink in self._sinks:
                sink(event)

    def add(self, sink: Sink) -> None:
        """Send later events to `sink` too."""
        with self._lock:
            self._sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        """Send `sink` no more."""
        with self._lock:
            self._sinks.remove(sink)


def as_data(value: Any) -> Any:
    """Return a dataclass of this package as plain JSON data; an event gets its name as `event`."""
    if is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: as_data(getattr(value, f.name)) for f in fields(value)}
        return {"event": type(value).__name__, **plain} if isinstance(value, Event) else plain
    if isinstance(value, dict):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_data(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value
