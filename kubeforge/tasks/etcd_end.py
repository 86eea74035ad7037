"""Ends the member of a host in order, so that its database holds everything it knows. Registers no task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.engine.model import ActionContext
from kubeforge.inventory.model import Host
from kubeforge.spec.paths import ETCD_DEADLINE
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act

__all__ = ["end_member", "halted"]


def end_member(run: ActionContext, host: Host, *, step: str) -> bool:
    """End a member and all that would start it again; a kubelet that did stays stopped.

    Args:
        run: of the action.
        host: the member's.
        step: the action's title.

    Returns:
        Whether something that starts it was stopped.

    Raises:
        DeadlineExceeded: it still runs.
    """
    spec, remote = run.context.cluster, run.remote_of(host.name)
    stopped = act(run, etcd_runs.stopped(spec), step=step, host=host.name)
    etcd_runs.end(remote, spec, host)
    condition = Condition(
        name=f"etcd on {host.name} has ended",
        lacks=lambda: etcd_runs.still_runs(remote, host),
        deadline=ETCD_DEADLINE,
        evidence=lambda: etcd_runs.log(remote, spec),
    )
    await_condition(condition, run, step=step)
    return any(change.title.startswith("unit ") for change in stopped)


@contextmanager
def halted(run: ActionContext, host: Host, *, step: str) -> Iterator[None]:
    """Let a member be ended while the block runs; what started it is started again, whatever comes of the block."""
    stopped = end_member(run, host, step=step)
    try:
        yield
    finally:
        if stopped:
            act(run, etcd_runs.again(run.context.cluster), step=step, host=host.name)
