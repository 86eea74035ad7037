"""A file that the host fetches itself, known by its digest."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kubeforge.errors import InputError, Problem, Unreadable
from kubeforge.operations.attributes import (
    attribute_lines,
    beside,
    check_path,
    entry_at,
    put_in_place,
    type_name,
)
from kubeforge.operations.command import check_env, exports
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, UnreadablePath, Verb
from kubeforge.operations.shell import quote

__all__ = ["Download"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"(https?|ftp|file)://[^\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download(Operation):
    """A regular file with the bytes of a URL. It is put in place only when they have the digest.

    Args:
        path: absolute; its directory must exist when the change is made.
        url: http, https, ftp or file; shown in plans, so it holds no password.
        sha256: hex digest.
        owner: user name or number.
        group: group name or number.
        mode: permission bits.
        env: environment variables for curl or wget: proxies.
        deadline: seconds.
    """

    kind: ClassVar[str] = "download"

    path: str
    url: str
    sha256: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    env: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 900.0

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        check_env(self.env, self.kind)
        if not _DIGEST.fullmatch(self.sha256):
            raise InputError([Problem(message=f"download: {self.sha256!r} is no SHA-256: 64 hex digits")])
        if not _URL.fullmatch(self.url):
            raise InputError([Problem(message=f"download: {self.url!r} is no URL")])

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    def observe(self) -> Queries:
        """Ask what is there and for its digest."""
        return Queries(stats=(self.path,), hashes=(self.path,))

    def decide(self, seen: Observation) -> Change | None:
        """Fetch it, or set owner and permissions only."""
        entry = entry_at(self.path, seen, self.title)
        found = seen.hashes.get(self.path)
        if isinstance(found, UnreadablePath):
            raise Unreadable(f"{self.path} could not be read: {found.why}", step=self.title, remedy="read it as root")
        if entry is not None and not (stat.S_ISREG(entry.mode) or stat.S_ISLNK(entry.mode)):
            raise Unreadable(
                f"{self.path} is {type_name(entry)}; a file shall be there, and it is not replaced",
                step=self.title,
                remedy=f"move {self.path} away on the host",
            )
        if entry is None or stat.S_ISLNK(entry.mode) or found != self.sha256:
            verb, why = (Verb.CREATE, "is missing") if entry is None else (Verb.UPDATE, "other content")
            return self._change(verb, why, self._fetched())
        lines = attribute_lines(self.path, entry, self.owner, self.group, self.mode)
        was = f"{entry.owner}:{entry.group} {entry.permissions:04o}"
        return self._change(Verb.UPDATE, f"owner and mode are {was}", lines) if lines else None

    def _fetched(self) -> tuple[str, ...]:
        new, url = quote(beside(self.path)), quote(self.url)
        made = (
            f": >{new}",  # the shell says why it cannot be written, curl does not
            f"if command -v curl >/dev/null; then curl -fsSL --retry 3 -o {new} -- {url}",
            f"else wget -q -O {new} -- {url}; fi",
            f"printf '%s  %s\\n' {self.sha256} {new} | sha256sum -c --quiet -",
            f"chown -- {quote(f'{self.owner}:{self.group}')} {new}",
            f"chmod -- {self.mode:04o} {new}",
        )
        return (*exports(self.env), *put_in_place(self.path, made))

    def _change(self, verb: Verb, why: str, lines: tuple[str, ...]) -> Change:
        entry = Entry(stat.S_IFREG | self.mode, self.owner, self.group)
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            guard=self.observe(),
            effect=Observation(paths={self.path: entry}, hashes={self.path: self.sha256}),
            lines=lines,
            touches=(self.path,),
            deadline=self.deadline,
        )
