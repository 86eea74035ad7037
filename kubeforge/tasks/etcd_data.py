"""A member's data: how it is ended, so that its database holds everything, and how they are made anew. No task here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.engine.model import ActionContext
from kubeforge.inventory.model import Host
from kubeforge.manifests.etcd import restore_flags
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_DEADLINE, ETCD_RESTORED, SNAPSHOT_DEADLINE
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act

__all__ = ["aside", "end_member", "halted", "make_anew"]

# $1 etcdutl, $2 database, $3 data directory, $4 its owner, $5 where the old data go, $6 names what makes the new ones,
# $7 the file that says so, then the member's own flags. What is there under that name already stays: it may have been
# written to. Made beside and moved into place whole, with its name inside.
_RESTORE: Final = (
    "utl=$1 db=$2 data=$3 owner=$4 aside=$5 mark=$6 file=$7; shift 7; "
    '[ "$(cat "$file" 2>/dev/null)" != "$mark" ] || exit 0; rm -rf "$data/.restoring"; '
    '"$utl" snapshot restore "$db" --data-dir "$data/.restoring" "$@"; '
    'printf %s "$mark" >"$data/.restoring/member/${file##*/}"; chown -R "$owner:" "$data/.restoring"; '
    '[ ! -e "$data/member" ] || mv -T "$data/member" "$aside"; '
    'mv -T "$data/.restoring/member" "$data/member"; rmdir "$data/.restoring"; sync -f "$data"'
)


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


def aside(run_id: str) -> str:
    """Return where a run puts a member's old data."""
    return f"{ETCD_DATA}/member.before-{run_id}"


def make_anew(
    run: ActionContext, database: str, mark: str, members: Sequence[Host], flags: Sequence[str], *, step: str
) -> None:
    """Make the data of the action's member, which has ended, out of a database; the old are put aside, never removed.

    Args:
        run: of the action.
        database: path on the host.
        mark: names what makes them: data that were made under this name are left alone.
        members: hosts of all who found the new cluster.
        flags: more of `etcdutl snapshot restore`: its token, the revision.
        step: the action's title.
    """
    spec, host = run.context.cluster, run.context.host
    act(run, [etcd_runs.data_directory(spec)], step=step)
    places = (database, ETCD_DATA, etcd_runs.owner(spec), aside(run.run_id), mark, ETCD_RESTORED)
    argv = ["sh", "-euc", _RESTORE, "sh", f"{BIN}/etcdutl", *places, *restore_flags(host, members), *flags]
    run.remote.run(argv, deadline=SNAPSHOT_DEADLINE)
