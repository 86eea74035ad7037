r"""A host that lives in dictionaries: the public fake for tests of tasks, actions, playbooks and of your own code.

    host = MemoryHost("cp1", files={"/etc/hosts": b"127.0.0.1 localhost\n"}, units={"ssh.service": RUNNING})
    changes, _ = fold(operations, host.observe(Queries.merge(op.observe() for op in operations)))
    host.act(changes, seen, run_id="r1")
    assert host.file("/etc/motd") == b"hello\n"

It is a `Remote`: `observe` answers from the dictionaries, `act` compares guards as the real protocol does and then puts
each change's `effect` over what is there, so a second apply finds nothing to do. It keeps generations, so a reset can
be tried. It runs no shell: what a change's lines would do beyond its effect does not happen (forgetting a generation).
Faults are asked for by attributes: `fail`, `lose_at`, `reboot_at`, `busy`, `unreachable`.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from kubeforge.errors import ChangedUnderneath, ConnectionFailed, ConnectionLost, HostBusy, OperationFailed
from kubeforge.operations.distributions import WORDS
from kubeforge.operations.model import (
    Change,
    Entry,
    Listed,
    LocalContent,
    MountEntry,
    Observation,
    Queries,
    Result,
    UnitState,
    UnreadablePath,
)
from kubeforge.operations.shell import join
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.transport.base import ByteSocket, Completed
from kubeforge.transport.protocol.note import opening
from kubeforge.transport.protocol.record import record

__all__ = ["RUNNING", "MemoryHost", "Reply"]

Reply = Completed | Callable[[bytes], Completed]
"""What a command answers: a fixed answer, or a function of its standard input."""

RUNNING = UnitState(load="loaded", active="active", file="enabled")

_FOLDERS = ("/etc", "/opt", "/run", "/tmp", "/usr", "/usr/local", "/usr/local/bin", "/var", "/var/lib", "/var/log")  # noqa: S108 - names in a dictionary
_KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}
_STARTED = ("active", "activating", "reloading")


_REMOVE: Final = ("rm", "-f", "--")
"""The one command that every host in memory knows: a handler's stamp goes by it."""


class MemoryHost:
    """One host in memory.

    Args:
        name: inventory name.
        files: path -> content; they belong to root, mode 0644. Directories above them exist.
        paths: path -> Entry for what is no plain file; wins over `files`.
        units: name -> state; any other is not found.
        packages: name -> version; any other is not installed.
        sysctls: name -> value; any other is unknown to the kernel.
        modules: those loaded.
        mounts: mount point -> entry.
        images: reference -> digest.
        commands: argv -> answer, for `run`, for tests, and (`sh`, given the script) for outputs; any other is not
            found (status 127).
        tunnels: (host, port) -> function that gives the stream.

    Attributes:
        release: ID and ID_LIKE of its os-release.
        fail: title -> exit status of that change.
        lose_at: the connection breaks while this change (from 0) of the next act runs; the host goes on to the end.
        reboot_at: the host dies while this change of the next act runs, undone; what comes after is not done.
        busy: an earlier act still runs.
        unreachable: every call raises ConnectionFailed.
        changes: everything carried out, in order.
        ran: every argv given to `run`, in order.
        round_trips: calls that would have gone over the wire.
    """

    def __init__(
        self,
        name: str,
        *,
        files: Mapping[str, bytes] | None = None,
        paths: Mapping[str, Entry | UnreadablePath] | None = None,
        units: Mapping[str, UnitState] | None = None,
        packages: Mapping[str, str] | None = None,
        sysctls: Mapping[str, str] | None = None,
        modules: Iterable[str] = (),
        mounts: Mapping[str, MountEntry] | None = None,
        images: Mapping[str, str] | None = None,
        commands: Mapping[tuple[str, ...], Reply] | None = None,
        tunnels: Mapping[tuple[str, int], Callable[[], ByteSocket]] | None = None,
    ) -> None:
        self._name = name
        self._state = Observation(
            paths={folder: Entry(stat.S_IFDIR | 0o755) for folder in _FOLDERS},
            units=dict(units or {}),
            packages=dict(packages or {}),
            sysctls=dict(sysctls or {}),
            modules=dict.fromkeys(modules, True),
            mounts=dict(mounts or {}),
            images=dict(images or {}),
        )
        self._blobs: dict[str, bytes | LocalContent] = {}
        for path, content in (files or {}).items():
            self.put(path, content)
        for path, entry in (paths or {}).items():
            self._overlay(Observation(paths={path: entry}))
        self.commands: dict[tuple[str, ...], Reply] = dict(commands or {})
        self.tunnels = dict(tunnels or {})
        self.release = "debian"
        self.fail: dict[str, int] = {}
        self.lose_at: int | None = None
        self.reboot_at: int | None = None
        self.busy = False
        self.unreachable = False
        self.changes: list[Change] = []
        self.ran: list[tuple[str, ...]] = []
        self.round_trips = 0

    @property
    def host(self) -> str:
        """Inventory name."""
        return self._name

    @property
    def state(self) -> Observation:
        """Everything that is there."""
        return self._state

    def put(self, path: str, content: bytes, *, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Change a file by hand, as somebody at the host would."""
        above = posixpath.dirname(path)
        folders: dict[str, Entry | UnreadablePath | None] = {}
        while above != "/":
            if self._state.paths.get(above) is None:
                folders[above] = Entry(stat.S_IFDIR | 0o755)
            above = posixpath.dirname(above)
        self._overlay(
            Observation(
                paths={**folders, path: Entry(stat.S_IFREG | mode, owner, group)},
                hashes={path: hashlib.sha256(content).hexdigest()},
            )
        )
        self._blobs[hashlib.sha256(content).hexdigest()] = content

    def overlay(self, state: Observation) -> None:
        """Put `state` over what is there: units that fail, packages that appear."""
        self._overlay(state)

    def file(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            KeyError: there is no such file.
        """
        sha256 = self._state.hashes.get(path)
        if self._state.paths.get(path) is None or not isinstance(sha256, str) or sha256 not in self._blobs:
            raise KeyError(path)
        blob = self._blobs[sha256]
        return blob.path.read_bytes() if isinstance(blob, LocalContent) else blob

    def observe(self, queries: Queries) -> Observation:
        """Answer `queries` from the dictionaries."""
        if not queries:
            return Observation()
        self._reached()
        return self._answer(queries)

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        """Compare guards, then put every change's effect over what is there, in order."""
        if not changes:
            return []
        self._reached()
        if self.busy:
            raise HostBusy("an earlier run still works on this host", host=self._name, step="act")
        self._compare(Queries.merge(change.guard for change in changes), seen)
        kept = self._keep(changes, seen, run_id)
        lose_at, reboot_at, self.lose_at, self.reboot_at = self.lose_at, self.reboot_at, None, None
        note = [opening(run_id, [change.title for change in changes], seen.changed)]
        results: list[Result] = []
        for index, change in enumerate(changes):
            note.append(f"start {index}\n")
            if kept:
                self._ledger(f'{kept}"begun":{index}}}\n')
            if index == reboot_at:
                break
            results.append(self._carry_out(change))
            note.append(f"done {index} {results[-1].status}\n")
            if results[-1].status != 0:
                note.append("failed\n")
                break
        else:
            note.append("end\n")
        self.put(paths.RUN_NOTE, "".join(note).encode(), mode=0o600)
        if lose_at is not None or reboot_at is not None:
            raise ConnectionLost("the connection broke", host=self._name, step="act", remedy="run again")
        return results

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,  # noqa: ARG002 - part of the protocol
        expect: Sequence[int] = (0,),
    ) -> Completed:
        """Answer from `commands`; `rm -f -- FILE…` removes files."""
        self._reached()
        self.ran.append(tuple(argv))
        done = self._reply(tuple(argv), stdin.reveal() if isinstance(stdin, Secret) else stdin)
        if done.status not in expect:
            raise OperationFailed(
                f"ended with status {done.status}",
                host=self._name,
                step=join(argv),
                evidence=(done.stderr or done.stdout).decode("utf-8", "replace").splitlines(),
            )
        return done

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        self._reached()
        try:
            return self.file(path)
        except KeyError:
            raise OperationFailed("No such file or directory", host=self._name, step=f"read {path}") from None

    def write(self, path: str, content: bytes | Secret, *, mode: int = 0o600) -> None:
        """Write a file, outside of any plan."""
        self._reached()
        self.put(path, content.reveal() if isinstance(content, Secret) else content, mode=mode)

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Give the stream that `tunnels` has for it."""
        self._reached()
        if (host, port) not in self.tunnels:
            raise ConnectionFailed(f"nothing listens on {host}:{port}", host=self._name)
        return self.tunnels[host, port]()

    def close(self) -> None:
        """Nothing is held open."""

    def _reached(self) -> None:
        self.round_trips += 1
        if self.unreachable:
            raise ConnectionFailed("cannot be reached", host=self._name, remedy="set unreachable to False")

    def _reply(self, argv: tuple[str, ...], stdin: bytes) -> Completed:
        reply = self.commands.get(argv)
        if reply is None and argv[:3] == _REMOVE:
            gone = dict.fromkeys(argv[3:])
            self._overlay(Observation(paths=gone, hashes=gone))
            return Completed(0)
        if reply is None:
            return Completed(127, stderr=f"{argv[0]}: not found".encode())
        return reply if isinstance(reply, Completed) else reply(stdin)

    def _answer(self, queries: Queries) -> Observation:
        now = self._state
        tests = {
            **{argv: self._reply(argv, b"").status for argv in queries.tests if argv in self.commands},
            **now.tests,
        }
        return Observation(
            paths={path: now.paths.get(path) for path in queries.stats},
            hashes={path: now.hashes.get(path) for path in queries.hashes},
            contents=self._contents(queries.reads),
            folders={path: self._names(path) for path in queries.folders},
            packages={name: now.packages.get(name) for name in queries.packages},
            units={name: now.units.get(name, UnitState()) for name in queries.units},
            sysctls={name: now.sysctls.get(name) for name in queries.sysctls},
            modules={name: now.modules.get(name, False) for name in queries.modules},
            mounts={path: now.mounts.get(path) for path in queries.mounts},
            images={reference: now.images.get(reference) for reference in queries.images},
            tests={argv: tests.get(argv, 127) for argv in queries.tests},
            trees={top: self._tree(top) for top in queries.trees},
            outputs={script: self._printed(script) for script in queries.outputs},
        )

    def _printed(self, script: str) -> str:
        return self.release if script == WORDS else self._reply(("sh",), script.encode()).stdout.decode()

    def _tree(self, top: str) -> dict[str, Listed]:
        below = {path: entry for path, entry in self._state.paths.items() if f"{path}/".startswith(f"{top}/")}
        return {
            path: Listed(_KINDS.get(stat.S_IFMT(entry.mode), "U"), entry.permissions, entry.owner, entry.group)
            for path, entry in below.items()
            if isinstance(entry, Entry)
        }

    def _compare(self, queries: Queries, seen: Observation) -> None:
        now = self._answer(queries)
        pairs = [
            *((path, now.paths[path], seen.paths[path]) for path in queries.stats),
            *((f"{path} (content)", now.hashes[path], seen.hashes[path]) for path in queries.hashes),
            *((f"package {name}", now.packages[name], seen.packages[name]) for name in queries.packages),
            *((f"unit {name}", _settled(now.units[name]), _settled(seen.units[name])) for name in queries.units),
            *((f"sysctl {name}", now.sysctls[name], seen.sysctls[name]) for name in queries.sysctls),
            *((f"module {name}", now.modules[name], seen.modules[name]) for name in queries.modules),
            *((f"mount {path}", now.mounts[path], seen.mounts[path]) for path in queries.mounts),
            *((f"test {join(argv)}", now.tests[argv] == 0, seen.tests[argv] == 0) for argv in queries.tests),
        ]
        names = [name for name, after, before in pairs if after != before]
        if names:
            raise ChangedUnderneath(
                f"this host is not as the plan saw it, so nothing was done: {', '.join(names)}",
                host=self._name,
                step="act",
                remedy="plan again",
            )

    def _carry_out(self, change: Change) -> Result:
        status = self.fail.get(change.title, 0)
        if status:
            return Result(title=change.title, status=status, output=b"failed as asked\n", output_size=16)
        self.changes.append(change)
        if isinstance(change.payload, LocalContent):
            self._blobs[change.payload.sha256] = change.payload
        elif change.payload is not None:
            payload = change.payload.reveal() if isinstance(change.payload, Secret) else change.payload
            self._blobs[hashlib.sha256(payload).hexdigest()] = payload
        self._overlay(change.effect)
        return Result(title=change.title, status=0)

    def _overlay(self, effect: Observation) -> None:
        for content in effect.contents.values():
            self._blobs[hashlib.sha256(content).hexdigest()] = content
        gone = {path for path, entry in effect.paths.items() if entry is None}
        below = {path: None for path in self._state.paths if not gone.isdisjoint(_above(path))} if gone else {}
        self._state = replace(
            self._state.overlaid(Observation(paths=below, hashes=dict(below))).overlaid(effect),
            contents={},
            changed=frozenset(),
        )

    def _names(self, folder: str) -> tuple[str, ...]:
        there = (path for path, entry in self._state.paths.items() if entry is not None)
        return tuple(sorted(posixpath.basename(path) for path in there if posixpath.dirname(path) == folder))

    def _contents(self, wanted: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for path in wanted:
            with suppress(KeyError):
                found[path] = self.file(path)
        return found

    def _keep(self, changes: Sequence[Change], seen: Observation, run_id: str) -> str:
        """Write the ledger as act does, with copies of what will be touched; return how this act's lines begin."""
        kept = record(changes, seen, run_id)
        if not kept.line:
            return ""
        number, act, last = 0, 0, ""
        for line in self._contents([paths.LEDGER]).get(paths.LEDGER, b"").splitlines():
            if b'"changes"' in line:
                known = json.loads(line)
                number, act, last = known["generation"], known["act"], known["run"]
        number, act = (number, act + 1) if last == run_id else (number + 1, 1)
        for path in kept.copies:
            copy = f"{paths.GENERATIONS}/{number}-{run_id}/{act}{path}"
            self._overlay(
                Observation(paths={copy: self._state.paths[path]}, hashes={copy: self._state.hashes.get(path)})
            )
        head = f'{{"generation":{number},"act":{act},'
        self._ledger(f"{head}{kept.line}")
        return head

    def _ledger(self, line: str) -> None:
        before = self._contents([paths.LEDGER]).get(paths.LEDGER, b"")
        self.put(paths.LEDGER, before + line.encode(), mode=0o600)


def _above(path: str) -> Iterator[str]:
    while (path := posixpath.dirname(path)) != "/":
        yield path


def _settled(state: UnitState) -> tuple[str, bool, str, bool]:
    """What decisions depend on; systemd moves between the states of a running unit by itself."""
    return (state.load, state.active in _STARTED, state.file, state.need_reload)
