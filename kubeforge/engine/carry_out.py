"""Carries out one planned step on one host: a batch by observe, decide, compare, act; an action by its `run`.

Retries nothing: whether a change was half made is for the next observation to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.deviations import deviations
from kubeforge.engine.events import Events
from kubeforge.engine.masking import masked
from kubeforge.engine.prepared import Prepared
from kubeforge.engine.program import Batch
from kubeforge.errors import ChangedUnderneath, OperationFailed
from kubeforge.operations.model import Change, Observation, Queries, Result, fold
from kubeforge.spec import paths
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.note import last_act

__all__ = ["Done", "StepOutcome", "carry_out"]

OUTPUT_LINES = 20
"""Lines of a failed change's output that its error shows."""

_NOTE = Queries(reads=(paths.RUN_NOTE,), hashes=(paths.RUN_NOTE,))
"""Guarded where only the note tells what was done: an act that is sent twice does nothing the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One change that was made, and the seconds it took on the host."""

    change: Change
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What became of a step.

    Args:
        done: changes made, in order.
        error: why it ended early, if it did.
    """

    done: tuple[Done, ...] = ()
    error: Exception | None = None


def carry_out(
    step: Prepared,
    *,
    connect: Callable[[str], Remote],
    events: Events,
    stopping: Callable[[], bool],
    run_id: str,
    changed: frozenset[str],
    untouched: bool,
) -> StepOutcome:
    """Carry out `step`.

    Args:
        step: as planned.
        connect: host name -> Remote.
        events: where an action speaks.
        stopping: whether Ctrl-C was pressed.
        run_id: names the run on the host.
        changed: titles of what this run has changed on the host so far.
        untouched: whether nothing in this run can have changed the host yet.

    Raises:
        KubeforgeError: nothing was done, or (ConnectionLost) it is unknown what was.
    """
    if isinstance(step.step, Batch):
        return _act(step, step.step, connect(step.host), run_id, changed, untouched=untouched)
    conversation = Conversation(
        context=step.step.context,
        title=step.step.title,
        expected=step.expected,
        pending=step.pending,
        connect=connect,
        events=events,
        stopping=stopping,
        run_id=run_id,
    )
    return StepOutcome(done=tuple(Done(change=change) for change in step.step.action.run(conversation)))


def _act(
    step: Prepared, batch: Batch, remote: Remote, run_id: str, changed: frozenset[str], *, untouched: bool
) -> StepOutcome:
    once = any(change.every_run for change in step.changes)
    asked = Queries.merge([batch.queries, _NOTE]) if once else batch.queries
    # What the plan took to be changed counts too: an earlier run that was cut off may have left a restart undone.
    seen = replace(remote.observe(asked), changed=step.expected.changed | changed)
    decided, _ = fold(batch.operations, seen)
    differences = deviations(step.changes, step.expected, decided, seen, untouched=untouched)
    if differences:
        raise ChangedUnderneath(
            "the host is not as the plan saw it; nothing was done in this step",
            host=step.host,
            step=step.step.title,
            evidence=differences,
            remedy="look at what changed it, then run again: a new plan starts from what is there now",
        )
    if not decided:
        return StepOutcome()
    if once:
        _refuse_another_act(step, seen, run_id)
        decided[0] = replace(decided[0], guard=Queries.merge([decided[0].guard, Queries(hashes=_NOTE.hashes)]))
    results = remote.act(decided, seen, run_id=run_id)
    done = tuple(
        Done(change=change, seconds=result.seconds)
        for change, result in zip(decided, results, strict=False)
        if result.status == 0
    )
    return StepOutcome(done=done, error=_failure(step, decided, results))


def _refuse_another_act(step: Prepared, seen: Observation, run_id: str) -> None:
    """Refuse where another act was made since the plan: it may have been this very one (docs/adr/0089).

    Raises:
        ChangedUnderneath: nothing was done.
    """
    before, now = (each.contents.get(paths.RUN_NOTE) for each in (step.expected, seen))
    act = last_act(now)
    if now != before and (act is None or act.run_id != run_id):
        raise ChangedUnderneath(
            "another run has worked on this host since the plan, and perhaps done this; nothing was done in this step",
            host=step.host,
            step=step.step.title,
            remedy="plan again",
        )


def _failure(step: Prepared, decided: Sequence[Change], results: Sequence[Result]) -> OperationFailed | None:
    failed = next((result for result in results if result.status), None)
    if failed is None and len(results) == len(decided):
        return None
    title = failed.title if failed else decided[len(results)].title
    cause = f"exit status {failed.status}" if failed else "was not begun, and the host does not say why"
    output = masked(failed.output, (change.payload for change in decided)) if failed else ""
    return OperationFailed(
        f"{cause}; {len(results) - bool(failed)} of {len(decided)} changes were made before it",
        host=step.host,
        step=title,
        evidence=output.splitlines()[-OUTPUT_LINES:],
        remedy="mend the cause, then run again: it goes on from here",
    )
