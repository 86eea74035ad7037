"""Operations that an action decides by itself, once it knows enough: observed, decided and carried out at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubeforge.engine.masking import masked
from kubeforge.engine.model import ActionContext
from kubeforge.errors import OperationFailed
from kubeforge.operations.model import Change, Observation, Operation, Queries, fold

__all__ = ["act", "decided"]

_LINES = 5


def decided(
    run: ActionContext, operations: Iterable[Operation], *, host: str = "", known: Observation | None = None
) -> list[Change]:
    """Return what operations would change on the action's host, or on another; changes nothing.

    Args:
        run: the action's.
        operations: in order.
        host: where; the action's own where none is given.
        known: what will hold there by then, over what is seen now.
    """
    listed, remote = list(operations), run.remote_of(host) if host else run.remote
    seen = remote.observe(Queries.merge(one.observe() for one in listed))
    return fold(listed, seen.overlaid(known) if known else seen)[0]


def act(
    run: ActionContext, operations: Iterable[Operation], *, step: str, remedy: str = "", host: str = ""
) -> Sequence[Change]:
    """Carry operations out; they belong to the run's generation like any others.

    Args:
        run: the action's.
        operations: in order.
        step: the action's title, for the error.
        remedy: what to do where one of them fails.
        host: where; the action's own where none is given.

    Raises:
        OperationFailed: one of them failed.
    """
    listed, remote = list(operations), run.remote_of(host or run.context.host.name)
    seen = remote.observe(Queries.merge(one.observe() for one in listed))
    changes = fold(listed, seen)[0]
    results = remote.act(changes, seen, run_id=run.run_id) if changes else []
    failed = next((result for result in results if result.status), None)
    if failed is not None:
        raise OperationFailed(
            f"{failed.title} ended with status {failed.status}",
            host=remote.host,
            step=step,
            evidence=masked(failed.output, (change.payload for change in changes)).splitlines()[-_LINES:],
            remedy=remedy or "mend the cause, then run again: it goes on from here",
        )
    return changes
