"""Waiting for a named condition with a deadline, never for a time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from kubeforge.errors import LabError
from kubeforge.lab import constants

__all__ = ["answers_ssh", "until"]

_SSH_PORT = 22
_BANNER = b"SSH-"


def until(
    condition: Callable[[], bool],
    what: str,
    *,
    host: str | None = None,
    deadline: float = constants.BOOT_DEADLINE,
    evidence: Callable[[], Sequence[str]] = tuple,
    remedy: str | None = None,
) -> None:
    """Poll a condition until it holds.

    Args:
        condition: looked at again and again.
        what: the condition in words, for the error.
        host: whose condition it is.
        deadline: seconds.
        evidence: gives the lines to show when the time has run out.
        remedy: what to do then.

    Raises:
        LabError: it did not hold in time.
    """
    import tenacity  # noqa: PLC0415 - the monitors import this package, and run without third-party code

    poll = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda holds: not holds),
        wait=tenacity.wait_fixed(constants.POLL),
        stop=tenacity.stop_after_delay(deadline),
    )
    try:
        poll(condition)
    except tenacity.RetryError as error:
        raise LabError(
            f"after {deadline:.0f} s still not: {what}", host=host, step="wait", evidence=evidence(), remedy=remedy
        ) from error


def answers_ssh(address: str) -> bool:
    """Whether an SSH server at this address sends its banner."""
    try:
        with socket.create_connection((address, _SSH_PORT), timeout=1.0) as connection:
            return connection.recv(16).startswith(_BANNER)
    except OSError:
        return False
