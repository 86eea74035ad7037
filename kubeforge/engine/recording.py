"""What a run writes into its journal: what it will do, and what it came to where it begins nothing.

Local files only; docs/adr/0098 says why such runs are recorded, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeforge.engine.events import Failure, HostFailed, RunDone
from kubeforge.engine.journal import Journal
from kubeforge.engine.plan import Plan
from kubeforge.engine.result import Remaining, RunResult

if TYPE_CHECKING:
    from kubeforge.engine.resume import GoingOn
    from kubeforge.inventory.model import Host
    from kubeforge.spec.model import ClusterSpec

__all__ = ["ended", "opened", "refused", "site"]


def opened(
    path: Path, plan: Plan, about: Mapping[str, Any], *, going_on: GoingOn | None, begins: bool = True
) -> Journal:
    """Open a run's journal, and write down what it is going to do.

    Args:
        path: the run's directory; its name is the run's id.
        plan: of the run.
        about: its hosts and its cluster; see `site`.
        going_on: the recorded run that it goes on with.
        begins: whether it is going to do anything.

    Raises:
        KubeforgeError: it cannot be written.
    """
    journal = Journal(path.parent, path.name, begins=begins)
    if going_on is not None and (plan or plan.failures or going_on.hosts <= set(plan.hosts)):
        journal.write("resumed", going_on.to_data())  # with nothing to do on a part of its hosts, the others wait still
    journal.write("plan", plan.to_data())  # a record without one has changed nothing
    journal.write("site", about)
    return journal


def refused(journal: Journal, plan: Plan, failures: Sequence[Failure]) -> None:
    """Write down what a run came to that begins nothing, as nothing is to do or something is in the way.

    Args:
        journal: of the run.
        plan: what would have been done.
        failures: what was in the way.
    """
    for failure in failures:
        if failure.host is not None:
            journal(HostFailed(host=failure.host, failure=failure))
    result = RunResult(
        run_id=journal.path.name,
        remaining=tuple(
            Remaining(
                host=step.host, play=step.play, step=step.step, titles=tuple(change.title for change in step.changes)
            )
            for step in plan.steps
        ),
        failures=tuple(failures),
        journal=str(journal.path),
    )
    journal.write("result", result.to_data())
    journal(ended(result))


def ended(result: RunResult) -> RunDone:
    """Return the event that tells what a run came to."""
    return RunDone(
        run_id=result.run_id,
        changed=len(result.done),
        remaining=result.remaining_changes,
        failures=result.failures,
        seconds=result.seconds,
        exit_code=result.exit_code,
    )


def site(
    cluster: str,
    hosts: Sequence[Host],
    spec: ClusterSpec | None,
    once: Mapping[str, str] | None = None,
    file: str = "",
) -> dict[str, Any]:
    """Return what a run records of its hosts, for reports and who goes on with it; nothing of how they are entered.

    Args:
        cluster: what the run is filed under.
        hosts: that take part.
        spec: of the cluster, where the run is about one.
        once: see `roster.Roster`.
        file: see `playbook.Playbook.place`.
    """
    endpoint = spec.endpoint.kind if spec else None
    return {
        "version": 1,
        "cluster": cluster,
        "kubernetes": spec.kubernetes if spec else None,
        "endpoint": str(endpoint) if endpoint else None,
        "hosts": [{"name": one.name, "address": one.address, "groups": sorted(one.groups)} for one in hosts],
        "once": dict(once or {}),
        "file": file,
    }
