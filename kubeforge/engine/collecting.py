"""Housekeeping on the hosts that a good run has changed: old generations are folded, programs nobody needs go.

Nothing of it is planned, as it changes nothing that a task could see; each host's is told as an event, so it is in the
journal. A run that changed nothing asks nothing, as only an act adds a generation; facts say how many there were, so a
host that keeps few is not asked either.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from kubeforge.engine.events import Collected, Event, Events, Warned
from kubeforge.engine.executors import Executor
from kubeforge.engine.generations import Ledger, collect, managed_paths, read_ledger
from kubeforge.engine.program import fault
from kubeforge.errors import KubeforgeError, OperationFailed
from kubeforge.operations.model import Entry, Observation, Operation, Queries, Result, UnreadablePath, Verb, fold
from kubeforge.operations.restore import Steps
from kubeforge.operations.shell import quote
from kubeforge.spec import paths
from kubeforge.spec.upgrading import folds_after, read_finished, read_record
from kubeforge.transport.base import Remote

__all__ = ["KEPT", "collect_all", "collect_host", "needed"]

KEPT: Final = 5
"""Generations that stay, so that it is possible to go back as many times."""

_SWEPT: Final = "programs that nothing names"
# $P: the digests that are needed, one a line. Beside them stays what a running program is, what has a second name (a
# hard link), and what a link inside of a kept copy leads to (a directory that was removed with programs in it). The
# links are listed by a command of its own, so that nothing goes where it fails.
_SWEEP: Final = r"""[ -d {store} ] || exit 0
ls -lR -- {generations} >"$P.links"
cat -- "$P" >"$P.used"
while IFS= read -r line; do
  case $line in *" -> "{store}/*) printf '%s\n' "${{line##*/}}" ;; esac
done <"$P.links" >>"$P.used"
{{ readlink /proc/[0-9]*/exe || :; }} 2>/dev/null >"$P.running"
while IFS= read -r line; do
  case $line in {store}/*) line=${{line##*/}}; printf '%s\n' "${{line%% *}}" ;; esac
done <"$P.running" >>"$P.used"
used=$(cat -- "$P.used")
cd -- {store}
for name in *; do
  case $name in *[!0-9a-f]*) continue ;; esac
  case "
$used
" in *"
$name
"*) continue ;; esac
  set -- $(stat -c '%h %s' -- "$name")
  [ "$1" -eq 1 ] || continue
  rm -f -- "$name"
  printf '%s %s\n' "$2" "$name"
done"""


def collect_all(
    hosts: Sequence[str], *, connect: Callable[[str], Remote], executor: Executor, events: Events, run_id: str
) -> None:
    """Collect on each of `hosts`, side by side. What cannot be collected stays, with a warning.

    Args:
        hosts: that the run has changed.
        connect: host name -> Remote.
        executor: runs the hosts.
        events: told what went.
        run_id: of the run.
    """
    for _, told in executor.each(partial(_told, connect, run_id), hosts):
        if told is not None:
            events.emit(told)


def _told(connect: Callable[[str], Remote], run_id: str, host: str) -> Event | None:
    try:
        return collect_host(connect(host), run_id)
    except Exception as error:  # noqa: BLE001 - the run itself went well: what stays is no failure of it
        said = error if isinstance(error, KubeforgeError) else fault(error)
        return Warned(host=host, message=f"old generations stay there for now: {said.cause}")


def collect_host(
    remote: Remote, run_id: str, *, keep: int = KEPT, folder: str = paths.GENERATIONS, store: str = paths.STORE
) -> Collected | None:
    """Fold a host's old generations, then remove the programs that are not needed any more.

    Those of an upgrade that can be taken back stay, however many they are.

    Args:
        remote: the host.
        run_id: names the act there.
        keep: generations that stay.
        folder: where the host keeps them.
        store: where the host keeps programs.

    Returns:
        What went; None where there is no more than is kept.

    Raises:
        KubeforgeError: nothing went, or it is unknown what did.
    """
    file = posixpath.join(folder, "ledger")
    marks = (paths.UPGRADE, paths.UPGRADE_FINISHED)
    seen = remote.observe(Queries(reads=(file, *marks), hashes=(file,)))
    ledger = read_ledger(seen, folder)
    record, finished = (seen.contents.get(path) for path in marks)
    numbers = [generation.number for generation in ledger.generations if generation.number]
    folding = collect(ledger, folds_after(numbers, keep, read_record(record), read_finished(finished)))
    if not folding:
        return None
    after = _folded(folding, file, folder)
    seen = seen.overlaid(remote.observe(Queries(stats=tuple(managed_paths(after)))))
    operations = [*folding, _sweep(after, seen, folder, store)]
    results = remote.act(fold(operations, seen)[0], seen, run_id=run_id)
    removed = _removed(results, len(operations))
    kept = sum(1 for generation in after.generations if generation.number)
    return Collected(
        host=remote.host,
        generations=sum(1 for generation in ledger.generations if generation.number) - kept,
        programs=len(removed),
        size=sum(removed),
    )


def _folded(folding: Sequence[Operation], file: str, folder: str) -> Ledger:
    """Return the ledger as it will be read once `folding` is done."""
    (steps,) = folding
    assert isinstance(steps, Steps)
    return read_ledger(Observation(contents={file: steps.payload or b""}), folder)


def needed(ledger: Ledger, seen: Observation, store: str = paths.STORE) -> set[str]:
    """Return the digests that a link of ours leads to now, or will when a kept generation is taken back.

    What a kept generation stored without a link is needed, too: the run that links it has still to come.

    Args:
        ledger: what is kept.
        seen: what is at every path that is ours.
        store: where programs are kept.

    Raises:
        OperationFailed: what is at a path cannot be told.
    """
    targets = [
        path if prior is None else prior.target
        for generation in ledger.generations
        for change in generation.changes
        for path, prior in change.paths.items()
        if prior is not None or generation.number
    ]
    for path, entry in seen.paths.items():
        if isinstance(entry, UnreadablePath):
            raise OperationFailed(f"what is at {path} cannot be told: {entry.why}", step=_SWEPT)
        if isinstance(entry, Entry) and entry.target:
            targets.append(entry.target)
    return {posixpath.basename(target) for target in targets if target and posixpath.dirname(target) == store}


def _sweep(ledger: Ledger, seen: Observation, folder: str, store: str) -> Steps:
    links = [path for path, entry in seen.paths.items() if isinstance(entry, Entry) and entry.target]
    return Steps(
        name=_SWEPT,
        why="no link and no kept generation leads to them",
        verb=Verb.REMOVE,
        lines=(_SWEEP.format(store=quote(store), generations=quote(folder)),),
        payload="".join(f"{digest}\n" for digest in sorted(needed(ledger, seen, store))).encode(),
        guard=Queries(stats=tuple(links)),
    )


def _removed(results: Iterable[Result], wanted: int) -> list[int]:
    """Return the bytes of each program that went.

    Raises:
        OperationFailed: a step failed.
    """
    done = list(results)
    for result in done:
        if result.status:
            evidence = result.output.decode("utf-8", "replace").splitlines()[-5:]
            raise OperationFailed(
                f"{result.title}: exit status {result.status}: {' '.join(evidence)}", step=result.title
            )
    if len(done) != wanted:
        raise OperationFailed("the host did not do it to the end", step=_SWEPT)
    return [int(line.split()[0]) for line in done[-1].output.splitlines()]
