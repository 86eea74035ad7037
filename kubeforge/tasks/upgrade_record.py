"""What hosts remember of an upgrade, and the snapshot before it. Written before anything else is changed.

The record names the last generation before the upgrade: all newer ones are what a rollback takes back (ADR 82).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import own_api_of
from kubeforge.cluster.snapshots import kept_on
from kubeforge.cluster.upgrade.served import served
from kubeforge.engine.generations import LEDGER_QUERIES, read_ledger
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiError, ConnectionFailed
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.spec.paths import BIN, CONTAINERD_NAMESPACE, UPGRADE, UPGRADE_FINISHED, UPGRADE_SERVED
from kubeforge.spec.releases import minor_of, parse
from kubeforge.spec.upgrading import Finished, Record, read_open
from kubeforge.tasks import living
from kubeforge.tasks.acting import act
from kubeforge.tasks.images import references
from kubeforge.tasks.parts import is_another
from kubeforge.tasks.registry import task
from kubeforge.tasks.snapshot import SaveSnapshot
from kubeforge.tasks.trust import now
from kubeforge.tasks.upgrade import running, servers_running

__all__ = [
    "TARGET",
    "WHOLE",
    "Remembered",
    "SnapshotBefore",
    "begin",
    "finish",
    "key_of",
    "last_generation",
    "reads",
    "snapshot_key",
]

TARGET: Final = "upgrade_target"
"""Variable: the version where an upgrade of several steps ends; unset: the step's own."""
WHOLE: Final = "upgrade_whole"
"""Variable that is set where the run is about all hosts, so that the upgrade has arrived when it ends well."""

_IMAGES: Final = f"ctr -n {CONTAINERD_NAMESPACE} images ls -q 2>/dev/null || :"
_PROGRAMS: Final = ("kubelet", "containerd", "runc", "etcd")
_BEGUN: Final = "# upgrade of "


def reads(inventory: Inventory, host: Host) -> Queries:
    """Ask for the record, the ledger, and what would show that there is something to do."""
    own = Queries(
        reads=(UPGRADE, UPGRADE_FINISHED),
        stats=tuple(f"{BIN}/{name}" for name in _PROGRAMS),
        outputs=(_IMAGES,),
    )
    return Queries.merge((LEDGER_QUERIES, living.reads(inventory, host), own))


@task("upgrade.begin", reads=reads)
def begin(context: Context) -> Iterator[Operation | Action]:
    """Remember where the upgrade begins, and what the API serves before it; nothing where nothing is to be done."""
    record = _record(context)
    if record is None:
        return
    yield File(path=UPGRADE, content=record.text(), mode=0o600)
    server = running(context, context.host.name).get("kube-apiserver")
    if server is not None and minor_of(server) == minor_of(record.old):  # a newer one would tell its own
        yield Remembered(begun=record.begun)


@task("upgrade.snapshot", reads=reads)
def snapshot(context: Context) -> Iterator[Action]:
    """Take a snapshot of etcd, once for each upgrade: a run that goes on with one takes none."""
    key = key_of(context)
    if key is not None and context.host in context.inventory.etcd_members:
        reason = f"before the upgrade to {_target(context)}"
        save = SaveSnapshot(reason=reason, unless_done_by=key, kubernetes=_old(context))
        yield SnapshotBefore(save=save, key=key)


@task("upgrade.finish", reads=reads)
def finish(context: Context) -> Iterator[Operation]:
    """Mark that the upgrade has arrived, where this run ends it."""
    record = _record(context)
    arrived = _target(context) == context.cluster.kubernetes and WHOLE in context.vars
    if record is not None and arrived:
        # This run's own changes are the generation that follows the last one there is.
        mark = Finished(begun=record.begun, generation=last_generation(context) + 1)
        yield File(path=UPGRADE_FINISHED, content=mark.text(), mode=0o600)


def key_of(context: Context) -> str | None:
    """Return the word by which this upgrade's snapshot is found again; None: there is no upgrade."""
    records = [_record(context, host) for host in context.inventory.etcd_members if _answers(context, host)]
    begun = [record.begun for record in records if record is not None]
    return snapshot_key(min(begun)) if begun else None


def snapshot_key(begun: int) -> str:
    """Return the word under which an upgrade's snapshot is kept."""
    return f"upgrade {begun}"


def last_generation(context: Context) -> int:
    """Return the number of the host's last generation; 0: there is none."""
    numbers = [one.number for one in read_ledger(context.seen[context.host.name]).generations]
    return max(numbers, default=0)


def _record(context: Context, host: Host | None = None) -> Record | None:
    """Return what a host shall remember; None: it is not part of an upgrade, and nothing is to be done on it."""
    host = host or context.host
    known, target = read_open(context.seen[host.name].contents), _target(context)
    if known is None and not _is_behind(context, host):
        return None
    seen = context.seen[host.name]
    present = seen.outputs.get(_IMAGES, "").split()
    # Where nobody tells what was there, nothing may be taken away later.
    brought = [one for one in references(context, host) if one not in present] if present else []
    if known is not None:
        return known.towards(target, brought)
    numbers = [one.number for one in read_ledger(seen).generations]
    begun = int(now(context).timestamp())
    return Record(
        old=_old(context), new=target, base=max(numbers, default=0), begun=begun, brings=tuple(sorted(brought))
    )


def _is_behind(context: Context, host: Host) -> bool:
    """Whether a host runs something else than it shall: another version of a component, or of a program."""
    wanted = context.cluster.kubernetes
    core = {name: version for name, version in running(context, host.name).items() if name != "etcd"}
    return any(version != wanted for version in core.values()) or any(
        is_another(context, name, host) for name in _PROGRAMS
    )


def _old(context: Context) -> str:
    """Return what the cluster runs: the oldest version that a control plane's manifest names."""
    return min(servers_running(context).values(), key=parse, default=context.cluster.kubernetes)


def _target(context: Context) -> str:
    return str(context.vars.get(TARGET) or context.cluster.kubernetes)


def _answers(context: Context, host: Host) -> bool:
    try:
        return isinstance(context.seen[host.name], Observation)
    except ConnectionFailed:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotBefore(Action):
    """A snapshot of etcd from before the upgrade is kept; where there is one, etcd need not even serve just now.

    Args:
        save: how it is taken.
        key: by which it is found again.
    """

    save: SaveSnapshot
    key: str

    @property
    def title(self) -> str:
        """The snapshot's own."""
        return self.save.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether an earlier run of this upgrade has taken it."""
        hosts = [host.name for host in run.context.inventory.etcd_members]
        names = run.context.vault.once(
            ("upgrade.snapshot", self.key),
            lambda: [one.name for one in kept_on(hosts, run.remote_of).all if one.key == self.key],
        )
        return [] if names else self.save.plan(run)

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Take it."""
        return self.save.run(run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered(Action):
    """What the API served before an upgrade lies on a control plane, so that a rollback can tell what is new.

    Args:
        begun: of the upgrade.
    """

    begun: int

    @property
    def title(self) -> str:
        """Names it."""
        return "upgrade.served"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Due once for each upgrade; where no API answers it is left out, and a rollback takes the snapshot."""
        seen = run.remote.observe(Queries(reads=(UPGRADE_SERVED,))).contents.get(UPGRADE_SERVED, b"")
        if seen.startswith(f"{_BEGUN}{self.begun}\n".encode()):
            return []
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Ask once for all control planes, and write it down."""
        try:
            lines = run.context.vault.once("upgrade.served", lambda: sorted(served(own_api_of(run))))
        except ApiError as error:
            run.remark(f"what the API serves is not known, so a minor is gone back from the snapshot: {error.cause}")
            return []
        text = "".join(f"{line}\n" for line in (f"{_BEGUN}{self.begun}", *lines))
        act(run, [File(path=UPGRADE_SERVED, content=text.encode(), mode=0o600)], step=self.title)
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why="remember what the API serves before the upgrade")
