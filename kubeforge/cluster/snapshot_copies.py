"""Carries snapshots of etcd between hosts, and to and from the operator's own disk, piece by piece.

Hosts need not reach each other for it. A copy has its name only once it is whole and its digest is right.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kubeforge.cluster.snapshots import Snapshot, database, folder, kept_on, parse_snapshot
from kubeforge.errors import InputError, OperationFailed, Problem
from kubeforge.operations.model import Queries
from kubeforge.secret import Secret
from kubeforge.spec.paths import ETCD_RESTORE, SNAPSHOT_ABOUT, SNAPSHOT_DB, SNAPSHOT_DEADLINE, SNAPSHOT_PKI, SNAPSHOTS
from kubeforge.transport.base import Remote

__all__ = ["fetch", "fetch_pki", "is_kept", "keep_pki", "let_go", "look_at", "pass_on", "read_local", "send"]

_PIECE: Final = 16 << 20
_FILES: Final = (SNAPSHOT_PKI, SNAPSHOT_ABOUT, SNAPSHOT_DB)
_STEP: Final = "etcd.snapshot"
# $1: folder of all, $2: of this one
_BEGIN: Final = 'umask 077; mkdir -p -- "$1"; rm -rf -- "$1"/.copy-*; mkdir -- "$2"'
# $1: a file; a piece comes as standard input
_ADD: Final = 'umask 077; cat >>"$1"'
# $1: the copy, $2: its name, $3: its database, $4: that one's digest
_END: Final = 'printf "%s  %s\\n" "$4" "$1/$3" | sha256sum -c --quiet - && sync -- "$1"/* && mv -T -- "$1" "$2"'
# $1: folder of all, $2: of this one, $3: the archive's name, $4: the file that says what it is; then what goes into it
_PKI: Final = (
    'umask 077; all=$1 one=$2 archive=$3 about=$4; shift 4; [ ! -e "$one" ] || exit 0; mkdir -p -- "$all"; '
    'rm -rf -- "$all"/.copy-*; mkdir -- "$all/.copy-pki"; cat >"$all/.copy-pki/$about"; number=$#; '
    'while [ "$number" -gt 0 ]; do file=$1; shift; number=$((number - 1)); '
    '[ ! -e "$file" ] || set -- "$@" "${file#/}"; done; '
    'tar -C / -cf "$all/.copy-pki/$archive" -- "$@"; mv -T -- "$all/.copy-pki" "$one"'
)
# $1: folder of all, $2: kind, $3: how many are kept, $4: there while one is restored
_LET_GO: Final = (
    '[ -e "$4" ] || ls -1r -- "$1" | grep -e "Z-$2-" | tail -n "+$(($3 + 1))" | '
    'while read -r old; do rm -rf -- "${1:?}/$old"; done'
)


def is_kept(remote: Remote, snapshot: Snapshot) -> bool:
    """Whether a host has a snapshot, whole."""
    path = database(snapshot.name)
    return remote.observe(Queries(hashes=(path,))).hashes[path] == snapshot.sha256


def pass_on(source: Remote, target: Remote, snapshot: Snapshot) -> None:
    """Copy a snapshot from one host to another that holds the same keys.

    Raises:
        OperationFailed: there is no room, or what arrived is not what was sent.
        ConnectionFailed: one of them cannot be reached.
    """
    _write(target, snapshot, lambda name: _pieces(source, f"{folder(snapshot.name)}/{name}"))


def send(local: Path, target: Remote, snapshot: Snapshot) -> None:
    """Copy a snapshot from the operator's disk to a host. Raises like `pass_on`.

    Args:
        local: its own folder.
        target: the host.
        snapshot: what the folder says it is.
    """
    _write(target, snapshot, lambda name: _local_pieces(local / name))


def fetch(source: Remote, snapshot: Snapshot, to: Path) -> Path:
    """Copy a snapshot from a host to the operator's disk, readable by its user only; return its folder.

    Raises:
        OperationFailed: what arrived is not what was sent.
        InputError: the folder cannot be written.
    """
    place, new = to / snapshot.name, to / f".copy-{snapshot.name}"
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        for name in _FILES:
            _keep(new / name, _pieces(source, f"{folder(snapshot.name)}/{name}"))
        found = _digest(new / SNAPSHOT_DB)
        if found == snapshot.sha256:
            shutil.rmtree(place, ignore_errors=True)
            new.rename(place)
    except OSError as error:
        raise InputError([Problem(message=f"{to} cannot be written: {error.strerror}", field="--to")]) from error
    if found != snapshot.sha256:
        raise OperationFailed(
            f"{new / SNAPSHOT_DB} has another digest than {snapshot.name}",
            host=source.host,
            step=_STEP,
            remedy="run again; if it stays so, the copy on the host is damaged: kubeforge etcd snapshot status NAME",
        )
    return place


def fetch_pki(source: Remote, snapshot: Snapshot, place: Path) -> None:
    """Copy what a host without a member keeps with a snapshot beside the copy of it. Raises like `fetch`."""
    try:
        (place / f"pki-{source.host}.tar").unlink(missing_ok=True)
        _keep(place / f"pki-{source.host}.tar", _pieces(source, f"{folder(snapshot.name)}/{SNAPSHOT_PKI}"))
    except OSError as error:
        raise InputError([Problem(message=f"{place} cannot be written: {error.strerror}", field="--to")]) from error


def read_local(place: Path) -> Snapshot:
    """Return what a folder on the operator's disk is.

    Raises:
        InputError: it is no snapshot, or not whole.
    """

    def refused(why: str) -> InputError:
        return InputError([Problem(message=f"{place} is no snapshot: {why}", field="SNAPSHOT")])

    try:
        snapshot = parse_snapshot((place / SNAPSHOT_ABOUT).read_bytes())
        found = _digest(place / SNAPSHOT_DB)
    except OSError as error:
        raise refused(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise refused(f"{SNAPSHOT_ABOUT}: {error}") from error
    if found != snapshot.sha256:
        raise refused(f"{SNAPSHOT_DB} has the digest {found}, and {snapshot.sha256} is said of it")
    return snapshot


def look_at(name: str, hosts: Sequence[str], remote_of: Callable[[str], Remote]) -> tuple[Snapshot, dict[str, bool]]:
    """Return a snapshot, and for each place that keeps it whether it is whole there.

    Args:
        name: of a snapshot that hosts keep, `latest`, or a folder on the operator's disk (with a `/` in it).
        hosts: of etcd.
        remote_of: host name -> Remote.

    Raises:
        InputError: the folder is no snapshot.
        UnfitHost: no host keeps one of this name.
    """
    if "/" in name:
        return read_local(Path(name)), {name: True}
    kept = kept_on(hosts, remote_of)
    found = kept.named(name)
    return found, {host: is_kept(remote_of(host), found) for host in kept.holders(found.name)}


def let_go(target: Remote, snapshot: Snapshot, *, keep: int) -> None:
    """Let the oldest of a snapshot's kind go on a host that got a copy; the host's own script looks at their age, too.

    Args:
        target: the host.
        snapshot: the newest of its kind.
        keep: how many stay.
    """
    target.run(["sh", "-euc", _LET_GO, "sh", SNAPSHOTS, snapshot.kind, str(keep), ETCD_RESTORE])


def keep_pki(target: Remote, snapshot: Snapshot, about: bytes, files: Iterable[str]) -> None:
    """Keep what a host without a member holds of the PKI, under a snapshot's name.

    Args:
        target: the host.
        snapshot: which.
        about: what its file says.
        files: of the PKI; those that are not there are left out.
    """
    argv = ["sh", "-euc", _PKI, "sh", SNAPSHOTS, folder(snapshot.name), SNAPSHOT_PKI, SNAPSHOT_ABOUT, *files]
    target.run(argv, stdin=about)


def _write(target: Remote, snapshot: Snapshot, pieces_of: Callable[[str], Iterable[bytes]]) -> None:
    new = f"{SNAPSHOTS}/.copy-{snapshot.name}"
    target.run(["sh", "-euc", _BEGIN, "sh", SNAPSHOTS, new])
    for name in _FILES:
        for piece in pieces_of(name):
            target.run(["sh", "-euc", _ADD, "sh", f"{new}/{name}"], stdin=Secret(piece), deadline=SNAPSHOT_DEADLINE)
    argv = ["sh", "-euc", _END, "sh", new, folder(snapshot.name), SNAPSHOT_DB, snapshot.sha256]
    target.run(argv, deadline=SNAPSHOT_DEADLINE)


def _pieces(source: Remote, path: str) -> Iterator[bytes]:
    """Yield a host's file; at least one piece, which may be empty."""
    number, piece = 0, b""
    while number == 0 or len(piece) == _PIECE:
        argv = ["dd", f"if={path}", f"bs={_PIECE}", f"skip={number}", "count=1", "iflag=fullblock", "status=none"]
        piece = source.run(argv, deadline=SNAPSHOT_DEADLINE).stdout
        yield piece
        number += 1


def _local_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _PIECE), b"")


def _keep(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)
        for piece in pieces:
            file.write(piece)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
