"""Waits for named conditions, and says what is known when the time is over. Never sleeps for a fixed time.

A condition is polled quickly at first (the usual case comes true within a second or two) and more slowly later. Where
it does not come true, the error carries the evidence: the failing component's own last words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubeforge.errors import ApiUnavailable, DeadlineExceeded, KubeforgeError

if TYPE_CHECKING:
    from kubeforge.engine.model import ActionContext

__all__ = ["Condition", "await_condition", "until"]

_FIRST_POLL: Final = 0.05
_SLOWEST_POLL: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that shall come true.

    Args:
        name: a sentence that is true once it holds: `the API server answers`.
        lacks: says what is still missing, or None when it holds; read-only. ApiUnavailable means "not yet".
        evidence: gathers log lines and events when the time is over; may be slow.
        deadline: seconds.
        remedy: what to do when it did not come true.
    """

    name: str
    lacks: Callable[[], str | None]
    deadline: float
    evidence: Callable[[], Sequence[str]] = tuple
    remedy: str | None = None


def await_condition(condition: Condition, run: ActionContext, *, step: str) -> None:
    """Poll until the condition holds.

    Args:
        condition: what to wait for.
        run: where Ctrl-C is noticed between two polls.
        step: the action's title, for the error.

    Raises:
        DeadlineExceeded: it did not come true in time.
        Interrupted: Ctrl-C.
    """
    until(condition, step=step, host=run.context.host.name, checkpoint=run.checkpoint)


def until(
    condition: Condition, *, step: str, host: str | None = None, checkpoint: Callable[[], None] = lambda: None
) -> None:
    """Poll until the condition holds, also where there is no run.

    Args:
        condition: what to wait for.
        step: what is being done, for the error.
        host: whom it is about, for the error.
        checkpoint: called before each poll; may raise to end the wait.

    Raises:
        DeadlineExceeded: it did not come true in time.
    """
    import tenacity  # noqa: PLC0415 - it brings asyncio; most runs wait for nothing

    last = [""]

    def lacks() -> str | None:
        checkpoint()
        try:
            missing = condition.lacks()
        except ApiUnavailable as error:
            missing = error.cause
        last[0] = missing or ""
        return missing

    polling = tenacity.Retrying(
        stop=tenacity.stop_after_delay(condition.deadline),
        wait=tenacity.wait_exponential(multiplier=_FIRST_POLL, max=_SLOWEST_POLL, exp_base=1.3),
        retry=tenacity.retry_if_result(lambda missing: missing is not None),
    )
    try:
        polling(lacks)
    except tenacity.RetryError:
        raise DeadlineExceeded(
            f"{condition.name}: not within {condition.deadline:.0f} s; {last[0]}",
            host=host,
            step=step,
            remedy=condition.remedy or "fix the cause shown above and run the same command again",
            evidence=_evidence(condition),
        ) from None


def _evidence(condition: Condition) -> list[str]:
    try:
        return list(condition.evidence())
    except KubeforgeError as error:
        return [f"(more could not be learned: {error.cause})"]
