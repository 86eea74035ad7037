"""Every error kubeforge raises on purpose; each class has its exit code.

A message is made of four facts, and the one who raises knows them all: the host, the step, the cause, and
what to do next.

    KubeforgeError                1
    ├── InputError               10   inventory, cluster.yml, playbook, template: nothing was touched
    ├── ConnectionFailed         11   a host cannot be reached or entered
    │   ├── HostKeyRefused
    │   ├── AuthenticationFailed
    │   ├── BecomeFailed              sudo is missing, or wants a password
    │   └── ConnectionLost            it broke while something ran; what happened is unknown until looked at
    ├── UnfitHost                12   preflight: wrong OS, too little room, port taken, clock off
    │   └── QuorumLost                etcd cannot write: more than half of its members are gone
    ├── OperationFailed          13   a change or an action failed on a host
    │   ├── ChangedUnderneath         the host is not as the plan saw it; nothing was done
    │   ├── HostBusy                  an earlier act still runs there
    │   ├── Unreadable                state that must be known could not be read
    │   └── ProtocolError             the host's answer was cut off, or is not ours
    ├── ArtifactError            14   a part cannot be had, or is not what its digest says
    ├── DeadlineExceeded         15   a condition did not come true in time; carries the evidence
    ├── ApiError                 16   the Kubernetes API refused
    │   └── ApiUnavailable            no API server answers just now
    ├── LabError                 17   the lab cannot run here, or a lab host is not as it should be
    ├── Locked                   18   another run works on this cluster
    └── Interrupted             130   Ctrl-C: stopped cleanly

Exit code 2 is none of these: it says "there are changes" (`plan --detailed-exitcode`).
`certs check` leaves with 3 where a certificate ends soon, 4 where one has ended; `status` with 1 where something is
amiss.
64 is a wrong command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ApiError",
    "ApiUnavailable",
    "ArtifactError",
    "AuthenticationFailed",
    "BecomeFailed",
    "ChangedUnderneath",
    "ConnectionFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "HostBusy",
    "HostKeyRefused",
    "InputError",
    "Interrupted",
    "KubeforgeError",
    "LabError",
    "Locked",
    "OperationFailed",
    "Problem",
    "ProtocolError",
    "QuorumLost",
    "UnfitHost",
    "Unreadable",
]


class KubeforgeError(Exception):
    """Root of all.

    Args:
        cause: what is wrong, one sentence without the host's name.
        host: inventory name of the host, if one is concerned.
        step: what was being done, as the console names it (`file /etc/hosts`, `etcd.ready`).
        remedy: what to do next: a command, or a sentence.
        evidence: log lines or events that show the cause, oldest first.
    """

    exit_code = 1

    def __init__(
        self,
        cause: str,
        *,
        host: str | None = None,
        step: str | None = None,
        remedy: str | None = None,
        evidence: Sequence[str] = (),
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.host = host
        self.step = step
        self.remedy = remedy
        self.evidence = tuple(evidence)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.host, self.step) if part)
        lines = [f"{where}: {self.cause}" if where else self.cause]
        lines += [f"    {line}" for line in self.evidence]
        if self.remedy:
            lines.append(f"  next: {self.remedy}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in what the user wrote.

    Args:
        message: one sentence, with a suggestion where there is one.
        file: path as the user gave it.
        line: 1-based.
        field: dotted path, e.g. `network.pods`.
        warning: shown, but does not refuse.
    """

    message: str
    file: str | None = None
    line: int | None = None
    field: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, self.field, self.message) if part)


class InputError(KubeforgeError):
    """What the user wrote is wrong; carries all problems at once. Warnings among them are neither counted nor told."""

    exit_code = 10

    def __init__(self, problems: Sequence[Problem], *, remedy: str | None = None) -> None:
        refusing = [problem for problem in problems if not problem.warning]
        count = len(refusing)
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in the input",
            evidence=[str(problem) for problem in refusing],
            remedy=remedy,
        )
        self.problems = tuple(problems)


class ConnectionFailed(KubeforgeError):
    """A host cannot be reached or entered."""

    exit_code = 11


class HostKeyRefused(ConnectionFailed):
    """The host's key is unknown or not the known one."""


class AuthenticationFailed(ConnectionFailed):
    """The host refused every key that was offered."""


class BecomeFailed(ConnectionFailed):
    """Root cannot be had by sudo."""


class ConnectionLost(ConnectionFailed):
    """The connection broke while something ran."""


class UnfitHost(KubeforgeError):
    """A host is not fit for what it shall become."""

    exit_code = 12


class QuorumLost(UnfitHost):
    """More than half of etcd's members are gone or without their data; a person must decide."""


class OperationFailed(KubeforgeError):
    """A change or an action failed on a host."""

    exit_code = 13


class ChangedUnderneath(OperationFailed):
    """The host is not as the plan saw it; nothing was done."""


class HostBusy(OperationFailed):
    """An earlier act still runs on the host, perhaps one whose connection died."""


class Unreadable(OperationFailed):
    """State that must be known could not be read."""


class ProtocolError(OperationFailed):
    """The host's answer was cut off, or is not ours."""


class ArtifactError(KubeforgeError):
    """A part cannot be had, or is not what its digest says."""

    exit_code = 14


class DeadlineExceeded(KubeforgeError):
    """A condition did not come true in time."""

    exit_code = 15


class ApiError(KubeforgeError):
    """The Kubernetes API refused.

    Args:
        cause, host, step, remedy, evidence: see KubeforgeError.
        status: HTTP status of the answer; 0 where there was none.
    """

    exit_code = 16

    def __init__(
        self,
        cause: str,
        *,
        host: str | None = None,
        step: str | None = None,
        remedy: str | None = None,
        evidence: Sequence[str] = (),
        status: int = 0,
    ) -> None:
        super().__init__(cause, host=host, step=step, remedy=remedy, evidence=evidence)
        self.status = status


class ApiUnavailable(ApiError):
    """No API server answers, or it says that it cannot just now; worth another try."""


class LabError(KubeforgeError):
    """The lab cannot run here, or a lab host is not as it should be."""

    exit_code = 17


class Locked(KubeforgeError):
    """Another run works on this cluster."""

    exit_code = 18


class Interrupted(KubeforgeError):
    """Ctrl-C: stopped cleanly."""

    exit_code = 130
