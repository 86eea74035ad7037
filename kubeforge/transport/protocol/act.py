"""Changes -> one tar stream that one exec unpacks and runs; its answer -> results.

The script is the tar's last member: an upload that was cut off holds no script, so nothing runs. Before the first
change everything the plan saw is compared (see `guard`), and what was there is kept (see `record`). The script goes on
when the connection dies; a lock refuses a second one meanwhile, and the note says how far it came (see `note`).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubeforge.errors import ArtifactError, BecomeFailed, ChangedUnderneath, HostBusy, KubeforgeError, OperationFailed
from kubeforge.operations.model import Change, Content, LocalContent, Observation, Queries, Result
from kubeforge.operations.shell import quote
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.transport.protocol.framing import HEAD, chunked, decode, encode, garbled, new_nonce
from kubeforge.transport.protocol.guard import Guard, guard
from kubeforge.transport.protocol.note import opening
from kubeforge.transport.protocol.record import Record, record

__all__ = ["Act", "command", "prepare"]

_CHUNK = 256 * 1024  # bytes read from a big file at a time
_BLOCK = 512  # tar's unit
_SLOWEST_UPLOAD = 1024 * 1024  # bytes a second that a usable line must carry
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")

# $1: state folder, $2: the shell. Members are unpacked beside everything else of ours, so that a big one is put in
# place by a rename.
_BOOT = (
    'unset TAR_OPTIONS; d=; umask 022; mkdir -p -- "$1" && umask 077 && d=$(mktemp -d "$1/act.$$.XXXXXX") && '
    'tar -xpmf - -C "$d" && $2 "$d/run.sh" "$d" "$1" "$2" </dev/null; r=$?; rm -rf -- "$d"; exit "$r"'
)

# A subshell takes the SIGPIPE when nobody listens any more. `read` of /proc/uptime costs no process.
_LIBRARY = r"""D=$1 S=$2 SH=$3 G=$2/generations LIMIT=65536
umask 077
say() { ( printf "$@" ) 2>/dev/null || :; }
show() { cat -- "$1" 2>/dev/null || :; }
stop() { say 'E %s\n%s' "$1" "$NONCE"; exit 0; }
stop_with() { say 'E %s %d\n' "$1" "$(($(wc -c <"$2")))"; show "$2"; say '%s' "$NONCE"; exit 0; }
change() {
  printf 'start %d\n' "$1" >>"$S/run"
  [ -z "$A" ] || printf '{"generation":%d,"act":%d,"begun":%d}\n' "$n" "$k" "$1" >>"$G/ledger"
  t=0 u=0
  read -r t _ </proc/uptime
  P=$D/$1 timeout -k 10 "$2" $SH -e "$D/$1.sh" >"$D/o" 2>&1 9>&-
  r=$?
  [ "$r" -ne 124 ] || printf 'kubeforge: did not end within %s s and was stopped\n' "$2" >>"$D/o"
  read -r u _ </proc/uptime
  printf 'done %d %d\n' "$1" "$r" >>"$S/run"
  b=0 m=0
  if [ -s "$D/o" ]; then
    b=$(($(wc -c <"$D/o"))) m=$b
    if [ "$b" -gt $LIMIT ]; then tail -c $LIMIT "$D/o" >"$D/t"; mv -f "$D/t" "$D/o"; m=$LIMIT; fi
  fi
  say 'R %d %d %d %d %s %s\n' "$1" "$r" "$b" "$m" "$t" "$u"
  [ "$m" -eq 0 ] || show "$D/o"
  [ "$r" -eq 0 ] || { printf 'failed\n' >>"$S/run"; stop failed; }
}
say '%s\n' "$NONCE"
exec 9>"$S/lock"
flock -n 9
case $? in 0) ;; 1) stop busy ;; *) stop unlocked ;; esac
for d in "$S"/act.*; do
  p=${d#"$S"/act.}
  [ "$d" = "$D" ] || kill -0 "${p%%.*}" 2>/dev/null || rm -rf -- "$d"
done
A=
"""

# One generation for all acts of a run; its number is one more than the last one's.
_GENERATION = r"""n=0 l=
for g in "$G"/[1-9]*-*; do
  b=${g##*/} i=${b%%-*}
  if [ -d "$g" ] && [ "$i" -gt "$n" ]; then n=$i l=${b#*-}; fi
done
[ "$l" = "$RUN" ] || n=$((n + 1))
A=$G/$n-$RUN k=1
while [ -e "$A/$k" ]; do k=$((k + 1)); done
"""


def command(state: str = paths.STATE, shell: str = "sh") -> str:
    """Return the constant command that takes the tar from standard input."""
    return f"exec {shell} -c {quote(_BOOT)} kubeforge {quote(state)} {quote(shell)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act, ready to be sent.

    Args:
        changes: in order.
        guard: what is compared first.
        record: what is kept.
        script: the tar's last member.
        note: how the host's note begins.
        nonce: at both ends of the answer.
    """

    changes: tuple[Change, ...]
    guard: Guard
    record: Record
    script: bytes
    note: bytes
    nonce: str

    @property
    def deadline(self) -> float:
        """Seconds after which the host must have answered: every change's own, and the upload."""
        size = sum(len_of(change.payload) for change in self.changes if change.payload is not None)
        return 60 + sum(change.deadline + 15 for change in self.changes) + size / _SLOWEST_UPLOAD

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar; big files are read as they are sent.

        Raises:
            ArtifactError: a file has gone or has another size than was said. The host then does nothing.
        """
        for index, change in enumerate(self.changes):
            if change.payload is not None:
                yield from _member(str(index), change.payload, change.payload_mode)
            yield from _member(f"{index}.sh", encode("\n".join(("umask 022", *change.lines, ""))))
        yield from _member("note", self.note)
        yield from _member("record", encode(self.record.line))
        yield from _member("run.sh", self.script)
        yield b"\0" * (2 * _BLOCK)

    def parse(self, stdout: bytes, stderr: bytes) -> list[Result]:
        """Return one result per change begun.

        Raises:
            ChangedUnderneath: nothing was done.
            HostBusy: nothing was done.
            OperationFailed: nothing was done, because what was there could not be kept, or the upload found no room.
            ProtocolError: the answer is not ours; what was done is in the host's note.
        """
        mark = encode(self.nonce)
        position = stdout.find(mark + b"\n")
        if position < 0 or not stdout.endswith(mark):
            raise self._no_answer(stdout, stderr)
        position += len(mark) + 1
        results: list[Result] = []
        while (end := stdout.find(b"\n", position)) >= 0:
            kind, *words = decode(stdout[position:end]).split(" ")
            if kind == "E":
                self._ended(words, stdout[end + 1 : -len(mark)])
                return results
            if kind != "R" or len(words) != 6:
                break
            index, status, size, kept = map(int, words[:4])
            output = stdout[end + 1 : end + 1 + kept]
            seconds = max(0.0, float(words[5]) - float(words[4]))
            results.append(
                Result(title=self.changes[index].title, status=status, output=output, output_size=size, seconds=seconds)
            )
            position = end + 1 + kept
        raise garbled(
            f"the host's answer broke off after {len(results)} of {len(self.changes)} changes", stdout, stderr
        )

    def _ended(self, words: Sequence[str], rest: bytes) -> None:
        match words[0]:
            case "busy":
                raise HostBusy(
                    "an earlier run still works on this host, perhaps one whose connection died",
                    remedy="wait until it is done, then run again",
                )
            case "unlocked":
                raise OperationFailed(
                    "the lock could not be taken, so nothing was done: flock does not work on this host",
                    remedy="install util-linux on the host",
                )
            case "changed":
                names = self.guard.differences(rest)
                raise ChangedUnderneath(
                    "this host is not as the plan saw it, so nothing was done: "
                    + (", ".join(names) if names else "its state could not be compared"),
                    remedy="plan again",
                )
            case "unrecorded":
                raise OperationFailed(
                    "what was there before could not be kept, so nothing was done",
                    evidence=rest.decode("utf-8", "replace").splitlines()[-5:],
                    remedy=f"make room below {paths.STATE} on the host",
                )

    def _no_answer(self, stdout: bytes, stderr: bytes) -> KubeforgeError:
        lines = stderr.decode("utf-8", "replace").splitlines()[-5:]
        if b"No space left on device" in stderr:
            return OperationFailed(
                f"no room left on the file system of {paths.STATE}, so nothing was done",
                evidence=lines,
                remedy="make room on the host",
            )
        if b"Permission denied" in stderr and not stdout:
            return BecomeFailed(
                f"only root may keep what was there before, below {paths.STATE}, so nothing was done",
                evidence=lines,
                remedy="say become: true in the playbook, or ansible_become: true in the inventory, or enter as root",
            )
        return garbled("the host gave no whole answer to what was to be done", stdout, stderr)


def prepare(changes: Sequence[Change], seen: Observation, *, run_id: str, nonce: str | None = None) -> Act:
    """Return the act that carries out `changes`, decided on `seen`.

    Args:
        changes: in order.
        seen: the observation they were decided on, not the folded one.
        run_id: letters, digits, `.`, `_`, `-`.
        nonce: for tests; a new one otherwise.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise KubeforgeError(f"{run_id!r} is no name for a run", remedy="letters, digits, dots and dashes")
    mark = nonce or new_nonce()
    check = guard(Queries.merge(change.guard for change in changes), seen)
    kept = record(changes, seen, run_id)
    lines = [HEAD, f"RUN={run_id} NONCE={mark}\n", _LIBRARY, *_guard_lines(check)]
    lines += _record_lines(kept)
    lines.append('mv -f -- "$D/note" "$S/run"\n')
    lines += [f"change {index} {change.deadline:g}\n" for index, change in enumerate(changes)]
    lines.append("printf 'end\\n' >>\"$S/run\"; stop done\n")
    return Act(
        changes=tuple(changes),
        guard=check,
        record=kept,
        script=encode("".join(lines)),
        note=encode(opening(run_id, [change.title for change in changes], seen.changed)),
        nonce=mark,
    )


def _guard_lines(check: Guard) -> Iterator[str]:
    if check.script:
        yield f'{{ {check.script}}} >"$D/now" 2>/dev/null 9>&-\n'
        yield f'[ "$(sha256sum <"$D/now")" = "{check.sha256}  -" ] || stop_with changed "$D/now"\n'


def _record_lines(kept: Record) -> Iterator[str]:
    if kept.line:
        yield _GENERATION
        # From the root and by relative names: coreutils 9.1 fails on absolute ones ("cp: 'etc': No such file").
        yield '( mkdir -p -- "$A/$k"; cd /\n'
        yield from chunked('cp -ax --parents -t "$A/$k" --', [f".{path}" for path in kept.copies])
        yield ') >"$D/o" 2>&1\n[ ! -s "$D/o" ] || stop_with unrecorded "$D/o"\n'
        yield '{ printf \'{"generation":%d,"act":%d,\' "$n" "$k"; cat -- "$D/record"; } >>"$G/ledger" || stop failed\n'


def len_of(content: Content) -> int:
    """Return the size of `content`, bytes."""
    return content.size if isinstance(content, LocalContent) else len(content)


def _member(name: str, content: Content, mode: int = 0o600) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uname, info.gname = len_of(content), mode, "root", "root"
    yield info.tobuf(format=tarfile.GNU_FORMAT)
    if isinstance(content, LocalContent):
        yield from _file_chunks(content)
    else:
        yield content.reveal() if isinstance(content, Secret) else content
    yield b"\0" * (-info.size % _BLOCK)


def _file_chunks(content: LocalContent) -> Iterator[bytes]:
    sent = 0
    try:
        with content.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sent += len(chunk)
                if sent > content.size:
                    break
                yield chunk
    except OSError as error:
        raise ArtifactError(f"{content.path} could not be read: {error.strerror}", remedy="fetch it again") from error
    if sent != content.size:
        raise ArtifactError(f"{content.path} has not {content.size} bytes any more", remedy="fetch it again")
