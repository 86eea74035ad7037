"""The values that flow from tasks to hosts: Operation, Queries, Observation, Change, Result. No I/O.

An `Operation` says what shall be true. Its `observe` names what must be known, its `decide` compares that with what
shall be, its `Change` says what will be done (sh lines and a payload), what it saw (guard) and what will hold
afterwards (effect), so that the next operation on the same host decides on that: decisions fold.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from kubeforge.secret import Secret

__all__ = [
    "Change",
    "Content",
    "Diff",
    "Entry",
    "Listed",
    "LocalContent",
    "MountEntry",
    "Observation",
    "Operation",
    "Queries",
    "Result",
    "UnitState",
    "UnreadablePath",
    "Verb",
    "fold",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalContent:
    """A big file on the controller, streamed in chunks and never held in memory.

    Args:
        path: the file; it is content-addressed and never modified.
        sha256: its verified hex digest.
        size: bytes.
    """

    path: Path
    sha256: str
    size: int


Content = bytes | Secret | LocalContent


@dataclass(frozen=True, slots=True)
class Queries:
    """What must be known about one host; merged over all operations, in order, without duplicates.

    Args:
        stats: paths to lstat (a symbolic link is seen as a link, with its target).
        hashes: regular files whose SHA-256 is needed.
        reads: regular files whose whole content is needed.
        folders: directories of which it is needed what they hold.
        packages: distribution packages by name.
        units: systemd units by full name.
        sysctls: kernel parameters in dotted form.
        modules: kernel modules by name.
        mounts: mount points.
        images: container image references in containerd's k8s.io namespace.
        tests: read-only commands whose exit status is needed.
        trees: directories of which everything below must be known by name; small ones.
        outputs: read-only POSIX-sh scripts whose standard output is needed: text without NUL; no guard compares it.
    """

    stats: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    tests: tuple[tuple[str, ...], ...] = ()
    trees: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @staticmethod
    def merge(parts: Iterable[Queries]) -> Queries:
        """Return the union of `parts`, first seen first."""
        listed = list(parts)
        return Queries(
            **{f.name: tuple(dict.fromkeys(x for p in listed for x in getattr(p, f.name))) for f in fields(Queries)}
        )

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Entry:
    """One path that exists.

    Args:
        mode: st_mode with the file type.
        owner: user name (or number where there is no name).
        group: group name (or number).
        target: what a symbolic link holds, else None.
        raw: the very record that stat gave; the guard compares it byte for byte. Empty in effects.
        uid: owner's number, where it was seen.
        gid: group's number, where it was seen.
        modified: seconds since 1970, where it was seen.
        made: by a command that is planned before, which may make a directory of it as well; never where it was seen.
    """

    mode: int
    owner: str = "root"
    group: str = "root"
    target: str | None = None
    raw: bytes = b""
    uid: int | None = None
    gid: int | None = None
    modified: int | None = None
    made: bool = False

    @property
    def permissions(self) -> int:
        """The lower twelve bits."""
        return stat.S_IMODE(self.mode)


@dataclass(frozen=True, slots=True)
class UnreadablePath:
    """A path that is there or not: it could not be told. Never taken for missing."""

    why: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """A systemd unit, as `systemctl show` says.

    Args:
        load: LoadState: `loaded`, `not-found`, `masked`; `unknown` where systemd gave no answer.
        active: ActiveState: `active`, `inactive`, `failed`, `activating`, …
        file: UnitFileState: `enabled`, `disabled`, `static`, …; empty where there is no unit file.
        need_reload: whether the unit's files changed since systemd read them.
        since: when it last became active, seconds since 1970; None where it never did.
    """

    load: str = "not-found"
    active: str = "inactive"
    file: str = ""
    need_reload: bool = False
    since: int | None = None


@dataclass(frozen=True, slots=True)
class MountEntry:
    """A mount point, as /proc/self/mountinfo says.

    Args:
        source: device, or what stands in its place.
        fstype: file system type.
        options: of the mount and of its file system.
        raw: the line itself; the guard compares it. Empty in effects.
    """

    source: str
    fstype: str
    options: frozenset[str]
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Listed:
    """One path of a list of what is there.

    Args:
        kind: as `find -printf %y` says: `f`, `d`, `l`, …
        mode: permission bits.
        owner: user number.
        group: group number.
    """

    kind: str
    mode: int
    owner: str
    group: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen on one host, or what will hold after changes.

    Args:
        paths: path -> Entry, None (missing), or UnreadablePath.
        hashes: path -> hex digest, None (missing), or UnreadablePath.
        contents: path -> bytes, for files that could be read.
        folders: path -> names of what it holds, sorted; none where there is no such directory.
        packages: name -> version, None where not installed.
        units: name -> UnitState.
        sysctls: name -> value with single spaces, None where the kernel has none.
        modules: name -> loaded or built in.
        mounts: mount point -> MountEntry, None where nothing is mounted.
        images: reference -> manifest digest, None where absent.
        tests: argv -> exit status.
        trees: directory -> path -> what is there, itself and all below; empty where it is missing.
        outputs: script -> what it printed.
        changed: titles of changes decided so far; a Unit restarts on those it listens to.
    """

    paths: Mapping[str, Entry | UnreadablePath | None] = field(default_factory=dict)
    hashes: Mapping[str, str | UnreadablePath | None] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    packages: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, UnitState] = field(default_factory=dict)
    sysctls: Mapping[str, str | None] = field(default_factory=dict)
    modules: Mapping[str, bool] = field(default_factory=dict)
    mounts: Mapping[str, MountEntry | None] = field(default_factory=dict)
    images: Mapping[str, str | None] = field(default_factory=dict)
    tests: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    trees: Mapping[str, Mapping[str, Listed]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()

    def overlaid(self, effect: Observation) -> Observation:
        """Return this observation with everything `effect` knows put over it."""
        merged = {
            f.name: {**getattr(self, f.name), **getattr(effect, f.name)} for f in fields(self) if f.name != "changed"
        }
        return Observation(**merged, changed=self.changed | effect.changed)

    def after(self, change: Change) -> Observation:
        """Return what will hold once `change` is made."""
        return self.overlaid(replace(change.effect, changed=change.effect.changed | {change.title}))


class Verb(StrEnum):
    """What a change does, in one word, as the plan prints it."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    START = "start"
    RESTART = "restart"
    STOP = "stop"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Diff:
    """The text before and after, for the plan; absent for secrets, binaries and big files."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that will be done on one host.

    Args:
        title: names the operation, unique on its host: `file /etc/hosts`.
        verb: what happens to it.
        why: one clause: `is missing`, `other content`, `changed: file /etc/x`.
        guard: state that must still be as seen when act begins.
        effect: what will hold afterwards.
        payload: uploaded bytes; `$P` in `lines` is where they are staged (already with `payload_mode`).
        payload_mode: permission bits of the staged payload.
        lines: POSIX sh, run under `set -e`; no conditions, every argument quoted by `shell.quote`.
        undo: lines that take it back where restoring paths is not enough (units, sysctls, mounts, modules).
        touches: paths whose earlier state the generation must keep; a directory in `deep` is kept with all below it.
        deep: paths among `touches` that are removed or replaced with everything below them.
        diff: text before and after, where it may be shown.
        reveals: path of a file that goes, whose text a diff may show.
        deadline: seconds this change may take.
        every_run: nothing on the host tells that it was done, so every run does it; a run that goes on with another
            leaves it out where that one is known to have done it (docs/adr/0089).
        repeatable: of such a change: where nobody knows whether it was made, it may be made once more.
    """

    title: str
    verb: Verb
    why: str
    guard: Queries = field(default_factory=Queries)
    effect: Observation = field(default_factory=Observation)
    payload: Content | None = None
    payload_mode: int = 0o600
    lines: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    deep: tuple[str, ...] = ()
    diff: Diff | None = None
    reveals: str = ""
    deadline: float = 120.0
    every_run: bool = False
    repeatable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one change.

    Args:
        title: the change's title.
        status: exit status of its lines; 0 is good.
        output: the last 64 KiB of what the lines printed.
        output_size: bytes they printed in all.
        seconds: how long it took on the host.
    """

    title: str
    status: int
    output: bytes = b""
    output_size: int = 0
    seconds: float = 0.0


class Operation(ABC):
    """What shall be true on one host: a frozen value of one of the kinds in this package."""

    kind: ClassVar[str]
    __slots__ = ()

    @property
    def open_ended(self) -> bool:
        """Whether it may do more than its effect tells (a package brings folders): what follows is looked at again."""
        return False

    @property
    @abstractmethod
    def title(self) -> str:
        """`kind` and what it is about; unique on its host: `file /etc/hosts`."""

    @abstractmethod
    def observe(self) -> Queries:
        """Return what must be known to decide."""

    @abstractmethod
    def decide(self, seen: Observation) -> Change | None:
        """Compare `seen` with what shall be.

        Returns:
            None when nothing is to be done.

        Raises:
            Unreadable: state that must be known could not be read, or it is of a kind that must not be overwritten
                (a directory where a file shall be).
        """


def fold(operations: Iterable[Operation], seen: Observation) -> tuple[list[Change], Observation]:
    """Decide all operations in order, each on what holds after the ones before it.

    Returns:
        The changes, in order, and what will hold after them.
    """
    changes: list[Change] = []
    for operation in operations:
        change = operation.decide(seen)
        if change is not None:
            changes.append(change)
            seen = seen.after(change)
    return changes, seen
