"""Snapshots of etcd as hosts keep them: a folder each, with the database, the PKI, and a file that says what it is.

Reads and parses; takes none (kubeforge.tasks.snapshot) and restores none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from kubeforge.errors import KubeforgeError, UnfitHost, Unreadable
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import SNAPSHOT_ABOUT, SNAPSHOT_DB, SNAPSHOTS
from kubeforge.transport.base import Remote

__all__ = ["LATEST", "Kept", "Snapshot", "database", "folder", "kept", "kept_on", "parse_snapshot"]

LATEST: Final = "latest"
"""Stands for the name of the newest."""
_FORMAT: Final = 1
_SHOWN: Final = 5
_THREADS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot.

    Args:
        name: of its folder; unique in its cluster, and sorts by time.
        cluster: the cluster's name.
        host: where it was taken.
        time: when, ISO 8601 in UTC.
        kind: `scheduled`, or `asked` for.
        reason: why, in words.
        key: by which who asked finds it again; may be empty.
        source: `member`: sent by a member that served; `data`: copied from one that did not run.
        kubernetes: version of the cluster then.
        etcd: version of etcd then.
        size: of the database, bytes.
        sha256: of the database.
        authorities: path -> SHA-256 of the public parts of the PKI then.
        revision: the newest in it.
        hash: of its content, by etcdutl.
        keys: how many revisions of keys it holds.
        members: name -> peer URLs then; empty where they could not be asked.
    """

    name: str
    cluster: str
    host: str
    time: str
    kind: str
    reason: str
    key: str
    source: str
    kubernetes: str
    etcd: str
    size: int
    sha256: str
    authorities: Mapping[str, str]
    revision: int
    hash: int
    keys: int
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        data = {name: getattr(self, name) for name in self.__slots__}
        members = {name: list(urls) for name, urls in self.members.items()}
        return {**data, "authorities": dict(self.authorities), "members": members}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What some hosts keep.

    Args:
        snapshots: host -> its snapshots, oldest first.
        silent: host -> why it could not be asked.
    """

    snapshots: Mapping[str, tuple[Snapshot, ...]]
    silent: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Snapshot, ...]:
        """Every snapshot once, oldest first."""
        found = {one.name: one for each in self.snapshots.values() for one in each}
        return tuple(found[name] for name in sorted(found))

    def named(self, name: str) -> Snapshot:
        """Return one.

        Args:
            name: its own, or `latest`.

        Raises:
            UnfitHost: none is called so.
        """
        known = self.all
        found = [one for one in known if one.name == name] or list(known[-1:] if name == LATEST else ())
        if found:
            return found[0]
        there = ", ".join(one.name for one in known[-_SHOWN:])
        raise UnfitHost(
            f"no host of etcd keeps a snapshot called {name}",
            step="etcd.snapshot",
            evidence=[f"{host} cannot be asked: {why}" for host, why in self.silent.items()],
            remedy=f"the newest that are kept: {there}" if there else "give the folder of one that was kept with --to",
        )

    def holders(self, name: str) -> tuple[str, ...]:
        """Return the hosts that keep a snapshot."""
        return tuple(host for host, each in self.snapshots.items() if any(one.name == name for one in each))


def folder(name: str) -> str:
    """Return the folder of a snapshot."""
    return f"{SNAPSHOTS}/{name}"


def parse_snapshot(text: str | bytes) -> Snapshot:
    """Read what the script that takes snapshots wrote.

    Raises:
        ValueError: it is something else, or of a kubeforge that came later.
    """
    try:
        told = json.loads(text)
        if told["format"] != _FORMAT:
            raise ValueError(f"its format is {told['format']}, and this kubeforge knows {_FORMAT}")
        status, members = told["status"], (told.get("members") or {}).get("members", ())
        plain = ("name", "cluster", "host", "time", "kind", "reason", "key", "source", "kubernetes", "etcd")
        return Snapshot(
            **{name: str(told[name]) for name in plain},
            size=int(told["size"]),
            sha256=str(told["sha256"]),
            authorities=dict(told["authorities"]),
            revision=int(status["revision"]),
            hash=int(status["hash"]),
            keys=int(status["totalKey"]),
            members={row.get("name", ""): tuple(row.get("peerURLs", ())) for row in members},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from error


def kept(remote: Remote) -> tuple[Snapshot, ...]:
    """Return the snapshots that a host keeps, oldest first.

    Raises:
        Unreadable: what says about one of them is damaged.
    """
    names = [name for name in remote.observe(Queries(folders=(SNAPSHOTS,))).folders[SNAPSHOTS] if name[0] != "."]
    about = {name: f"{folder(name)}/{SNAPSHOT_ABOUT}" for name in names}
    contents = remote.observe(Queries(reads=tuple(about.values()))).contents if about else {}
    found = []
    for path in filter(contents.__contains__, about.values()):
        try:
            found.append(parse_snapshot(contents[path]))
        except ValueError as error:
            raise Unreadable(
                f"{path} cannot be read: {error}",
                host=remote.host,
                step="etcd.snapshot",
                remedy="look at it on the host, and move the folder of the damaged snapshot away",
            ) from error
    return tuple(sorted(found, key=lambda one: one.name))


def kept_on(hosts: Iterable[str], remote_of: Callable[[str], Remote]) -> Kept:
    """Ask hosts side by side; one that cannot be asked is told, not raised.

    Args:
        hosts: inventory names.
        remote_of: host name -> Remote.
    """
    names = tuple(hosts)

    def ask(host: str) -> tuple[Snapshot, ...] | str:
        try:
            return kept(remote_of(host))
        except KubeforgeError as error:
            return error.cause

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        answers: Sequence[tuple[Snapshot, ...] | str] = list(pool.map(ask, names))
    both = list(zip(names, answers, strict=True))
    return Kept(
        snapshots={name: answer for name, answer in both if not isinstance(answer, str)},
        silent={name: answer for name, answer in both if isinstance(answer, str)},
    )


def database(name: str) -> str:
    """Return the path of a snapshot's database."""
    return f"{folder(name)}/{SNAPSHOT_DB}"
