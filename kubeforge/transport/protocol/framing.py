"""What both halves of the protocol share: the shell's surroundings, the nonce, lists of names, cutting of answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from kubeforge.errors import ProtocolError
from kubeforge.operations.shell import quote

__all__ = ["HEAD", "STAT", "STAT_FIELDS", "Cursor", "chunked", "decode", "encode", "garbled", "new_nonce"]

#: Same language, same programs everywhere; nothing of the login shell's surroundings changes what our tools print.
HEAD = (
    "LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL PATH\n"
    "unset CDPATH ENV BASH_ENV TAR_OPTIONS POSIXLY_CORRECT\n"
)

#: One record per path. `%N` with literal quoting is `NAME`, or `NAME -> TARGET` for a symbolic link, so that targets
#: cost no process of their own and belong to what the guard compares.
STAT = r"QUOTING_STYLE=literal stat --printf='%n\0%f\0%U\0%G\0%u\0%g\0%s\0%Y\0%N\0' --"
STAT_FIELDS = 9

_ARGUMENT_BYTES = 60_000  # names per process: far below Linux's limit for all arguments, and still few processes
_SHOWN = 300  # bytes of a bad answer that an error shows


def new_nonce() -> str:
    """Return a word that no output can hold by chance or on purpose."""
    return f"kf{secrets.token_hex(12)}"


def encode(text: str) -> bytes:
    """Turn text into bytes for the host; names that are not UTF-8 come back as they were."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """The opposite of `encode`."""
    return data.decode("utf-8", "surrogateescape")


def chunked(command: str, names: Iterable[str]) -> Iterator[str]:
    """Yield lines that run `command` over all `names`, few enough at a time."""
    part: list[str] = []
    size = 0
    for name in map(quote, names):
        if part and size + len(name) > _ARGUMENT_BYTES:
            yield f"{command} {' '.join(part)}\n"
            part, size = [], 0
        part.append(name)
        size += len(name) + 1
    if part:
        yield f"{command} {' '.join(part)}\n"


def garbled(what: str, stdout: bytes, stderr: bytes) -> ProtocolError:
    """Return the error for an answer that does not follow the protocol, with the ends of both streams."""
    evidence = [f"{name}: {data[:_SHOWN]!r}" for name, data in (("stdout", stdout), ("stderr", stderr[-4096:])) if data]
    return ProtocolError(
        what,
        evidence=evidence,
        remedy="run it again; if it stays, log in: the host's shell, stat, sha256sum or tar may be missing or broken",
    )


class Cursor:
    """Walks over NUL-terminated fields.

    Args:
        data: the answer.
        position: where to begin.
    """

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def field(self) -> bytes:
        """Return the next field.

        Raises:
            ProtocolError: there is none.
        """
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise garbled("the host's answer was cut off", self.data[self.position :], b"")
        found, self.position = self.data[self.position : end], end + 1
        return found

    def fields(self, count: int) -> Iterator[tuple[bytes, ...]]:
        """Yield records of `count` fields; an empty first field ends the section."""
        while first := self.field():
            yield (first, *(self.field() for _ in range(count - 1)))

    def rest(self) -> bytes:
        """Return what was not walked over yet."""
        return self.data[self.position :]
