"""What a restore is about: which snapshot, what is lost by it, and whether it may be. Registers no task.

Asked once a run. A restore that was cut off left a note on the hosts, by which the next run goes on with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubeforge.cluster.etcd import revision
from kubeforge.cluster.etcd_survey import survey
from kubeforge.cluster.snapshot_copies import is_kept, read_local
from kubeforge.cluster.snapshots import Snapshot, kept_on
from kubeforge.engine.model import ActionContext
from kubeforge.errors import InputError, Problem, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.etcd import peer_url
from kubeforge.operations.model import Queries
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import ETCD_LAST_RESTORE, ETCD_RESTORE, SNAPSHOT_PKI
from kubeforge.spec.releases import release
from kubeforge.spec.skew import snapshot_problem

__all__ = ["SNAPSHOT", "STEP", "Restoration", "concerned", "restoration", "unfinished"]

SNAPSHOT: Final = "etcd_snapshot"
"""Variable that names the snapshot: as `etcd snapshot list` does, `latest`, or a folder on the operator's disk."""
STEP: Final = "etcd.restore"

# kubernetes.io, "Restoring an etcd cluster", and etcd.io/docs/v3.6/op-guide/recovery: so far do revisions go on, that
# nobody sees one a second time with other content. Here to the next full thousand million after all that is known of,
# as an older snapshot may be restored after a newer one.
_LEAP: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """One restore, the same for all hosts of a run.

    Args:
        snapshot: what is restored.
        holders: hosts that keep it.
        local: its folder on the operator's disk, where it comes from there.
        token: names the new etcd cluster, and this restore in all runs that it takes.
        revision: that etcd will go on from.
        now: newest revision of the data there are; None where nobody can tell.
        resumed: an earlier run was cut off.
    """

    snapshot: Snapshot
    holders: tuple[str, ...]
    local: Path | None
    token: str
    revision: int
    now: int | None
    resumed: bool

    @property
    def bump(self) -> int:
        """By how much the snapshot's revision is raised."""
        return self.revision - self.snapshot.revision

    @property
    def lost(self) -> str:
        """Say what is lost by it."""
        one = self.snapshot
        back = f"etcd goes back to revision {one.revision} of {one.time} ({one.name}, {one.reason})"
        if self.resumed:
            return f"{back}; goes on with a restore that was cut off"
        if self.now is None:
            return f"{back}; what was written since is lost: how much, nobody can tell"
        since = self.now - one.revision
        return f"{back}; it is at {self.now}: what {since} revisions since then wrote is lost" if since else back

    def note(self, *, begun: bool) -> bytes:
        """Return what is written down on the hosts."""
        about = {"snapshot": self.snapshot.name, "token": self.token, "revision": self.revision, "begun": begun}
        return json.dumps(about).encode() + b"\n"


def concerned(inventory: Inventory) -> tuple[Host, ...]:
    """Return the hosts that a restore stops: of etcd, and control planes."""
    return tuple({host.name: host for host in (*inventory.etcd_members, *inventory.control_planes)}.values())


def restoration(run: ActionContext) -> Restoration:
    """Return what this run's restore is about.

    Raises:
        InputError: the variable names no snapshot that is one.
        UnfitHost: no host keeps it, or it cannot be restored here; all reasons.
    """
    return run.context.vault.once(STEP, lambda: _looked_up(run))


def unfinished(note: bytes) -> str:
    """Return the name of the snapshot whose restore left a note; empty where the note says nothing."""
    return str(_read(note).get("snapshot", ""))


def _looked_up(run: ActionContext) -> Restoration:
    context = run.context
    members = [host.name for host in context.inventory.etcd_members]
    asked = str(context.vars.get(SNAPSHOT, ""))
    if not asked:
        raise InputError([Problem(message="name the snapshot to restore", field=SNAPSHOT)])
    local = Path(asked) if "/" in asked else None
    kept = kept_on(members, run.remote_of)
    snapshot = read_local(local) if local else kept.named(asked)
    notes = list(_notes(run))
    begun = [note for note in notes if note.get("begun") and note.get("snapshot") == snapshot.name]
    now = _revision(run, members)
    known = max([snapshot.revision, now or 0, *(int(note["revision"]) for note in notes)])
    made = Restoration(
        snapshot=snapshot,
        holders=kept.holders(snapshot.name),
        local=local,
        token=str(begun[0]["token"]) if begun else f"{context.cluster.name}-{secrets.token_hex(4)}",
        revision=int(begun[0]["revision"]) if begun else (known // _LEAP + 1) * _LEAP,
        now=now,
        resumed=bool(begun),
    )
    _refuse(run, made)
    return made


def _notes(run: ActionContext) -> Iterator[dict[str, Any]]:
    """Yield what restores before this one have written down."""
    paths = (ETCD_RESTORE, ETCD_LAST_RESTORE)
    for host in concerned(run.context.inventory):
        contents = run.remote_of(host.name).observe(Queries(reads=paths)).contents
        yield from filter(None, (_read(contents.get(path, b"")) for path in paths))


def _read(note: bytes) -> dict[str, Any]:
    """Return what a note says; nothing where it is none: it is written whole, so that is somebody else's."""
    try:
        told = json.loads(note)
    except ValueError:
        return {}
    wanted = {"snapshot": str, "token": str, "revision": int, "begun": bool}
    sound = isinstance(told, dict) and all(isinstance(told.get(name), kind) for name, kind in wanted.items())
    return told if sound else {}


def _revision(run: ActionContext, members: Sequence[str]) -> int | None:
    found = survey(members, run.remote_of)
    if found.serving:
        return revision(run.remote_of(found.serving[0]))
    return max((one.revision for one in found.holding if one.revision is not None), default=None)


def _refuse(run: ActionContext, made: Restoration) -> None:
    spec, inventory = run.context.cluster, run.context.inventory
    first = inventory.etcd_members[0]
    reasons = [*_versions(spec, made.snapshot), *_hosts(inventory, made.snapshot), *_cluster(run, made.snapshot)]
    if made.local is None and not any(is_kept(run.remote_of(name), made.snapshot) for name in made.holders):
        reasons.append("it is damaged: its database has another digest than was written down when it was taken")
    if reasons:
        raise UnfitHost(
            f"snapshot {made.snapshot.name} cannot be restored here; nothing was touched",
            host=first.name,
            step=STEP,
            evidence=reasons,
            remedy="take another one: kubeforge etcd snapshot list",
        )


def _versions(spec: ClusterSpec, snapshot: Snapshot) -> Iterator[str]:
    yield from filter(
        None,
        (
            snapshot_problem("etcd", snapshot.etcd, release(spec.kubernetes).etcd),
            snapshot_problem("Kubernetes", snapshot.kubernetes, spec.kubernetes),
        ),
    )


def _hosts(inventory: Inventory, snapshot: Snapshot) -> Iterator[str]:
    """Yield how the members differ; where the snapshot does not know them, it is for its authorities to tell."""
    then: Mapping[str, set[str]] = {name: set(urls) for name, urls in snapshot.members.items() if name}
    now = {host.name: {peer_url(host)} for host in inventory.etcd_members}
    if then and then != now:
        yield f"the hosts of etcd have changed: it is of {_told(then)}, and the inventory has {_told(now)}"


def _told(members: Mapping[str, set[str]]) -> str:
    return ", ".join(f"{name} ({' '.join(sorted(urls))})" for name, urls in sorted(members.items()))


def _cluster(run: ActionContext, snapshot: Snapshot) -> Iterator[str]:
    """Yield why it is another cluster's: the name, or what the public parts of the PKI say."""
    spec, members = run.context.cluster, run.context.inventory.etcd_members
    if snapshot.cluster != spec.name:
        yield f"it is of cluster {snapshot.cluster}, and this one is {spec.name}"
    paths = tuple(snapshot.authorities)
    for host in members:
        hashes = run.remote_of(host.name).observe(Queries(hashes=paths)).hashes
        other = [path for path in paths if hashes.get(path) not in (None, snapshot.authorities[path])]
        missing = [path for path in paths if hashes.get(path) is None]
        if other:
            yield f"{host.name}: not what it was when the snapshot was taken: {', '.join(other)}"
        if missing:
            yield f"{host.name}: missing, and in the snapshot's {SNAPSHOT_PKI}: {', '.join(missing)}"
