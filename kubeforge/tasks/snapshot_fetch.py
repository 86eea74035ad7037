"""A copy of the snapshot that this run took, on the operator's own disk: for the day on which all hosts are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeforge.cluster.snapshot_copies import fetch, fetch_pki
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.operations.model import Change, Verb
from kubeforge.tasks.registry import task
from kubeforge.tasks.snapshot import taken, taker

__all__ = ["SNAPSHOT_TO", "SnapshotFetched", "fetched"]

SNAPSHOT_TO: Final = "etcd_snapshot_to"
"""Variable that names the folder on the operator's disk."""


@task("etcd.snapshot_fetch")
def fetched(context: Context) -> Iterator[Action]:
    """Copy the snapshot to the operator's disk, where a folder is named."""
    to = context.vars.get(SNAPSHOT_TO)
    if to and context.host in context.inventory.etcd_members:
        yield SnapshotFetched(to=str(to))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFetched(Action):
    """The snapshot is on the operator's disk, too, with the PKI of all its hosts.

    Args:
        to: folder for snapshots there.
    """

    to: str

    @property
    def title(self) -> str:
        """Its task's name."""
        return "etcd.snapshot_fetch"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Whoever takes it is copied from."""
        return [self._change(f"is copied to {self.to} on this machine")] if run.context.host.name == taker(run) else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Copy it, and compare its digest."""
        context = run.context
        (snapshot,) = taken(context).values()
        place = fetch(run.remote, snapshot, Path(self.to))
        for host in context.inventory.control_planes:
            if host not in context.inventory.etcd_members:
                fetch_pki(run.remote_of(host.name), snapshot, place)
        return [self._change(f"is in {place}")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.CREATE, why=why)
