"""What the kinds that concern one path have in common: is the path well-formed, what is there, who owns it. Pure."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Sequence

from kubeforge.errors import InputError, Problem, Unreadable
from kubeforge.operations.model import Entry, Observation, UnreadablePath
from kubeforge.operations.shell import quote

__all__ = [
    "attribute_lines",
    "beside",
    "check_path",
    "entry_at",
    "owned_by",
    "owner_lines",
    "put_in_place",
    "type_name",
]

_SPECIAL = stat.S_ISUID | stat.S_ISGID
_TYPES = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def check_path(path: str, what: str) -> None:
    """Refuse a path that is not absolute and in its shortest form.

    Args:
        path: on the host.
        what: the operation's kind, for the message.

    Raises:
        InputError: it is relative, empty, the root, or holds `..`, doubled or trailing slashes, or a NUL.
    """
    # normpath keeps a doubled slash in front, to which POSIX gives leave to mean something else
    absolute = path.startswith("/") and not path.startswith("//")
    if not absolute or path == "/" or "\0" in path or posixpath.normpath(path) != path:
        raise InputError([Problem(message=f"{what}: {path!r} is not an absolute path in its shortest form")])


def beside(path: str) -> str:
    """Return the temporary name next to `path` that an atomic write goes through.

    It begins with a dot, because the kubelet takes every other file in its manifest folder for a pod.
    """
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.kubeforge~")


def put_in_place(path: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines that make a file beside `path`, and last the one that renames it.

    Where one fails nothing is left beside it: a full disk would stay full of what was half written.
    """
    temporary = quote(beside(path))
    renamed = f"mv -fT -- {temporary} {quote(path)}; trap - EXIT"
    return (f"trap {quote(f'rm -f -- {temporary}')} EXIT", *lines, renamed)


def type_name(entry: Entry) -> str:
    """Return what kind of thing `entry` is, in words."""
    return _TYPES.get(stat.S_IFMT(entry.mode), "of an unknown type")


def entry_at(path: str, seen: Observation, step: str) -> Entry | None:
    """Return what is at `path`, None where nothing is.

    Raises:
        Unreadable: it could not be told.
    """
    entry = seen.paths[path]
    if isinstance(entry, UnreadablePath):
        raise Unreadable(f"{path} could not be looked at: {entry.why}", step=step, remedy="look at it on the host")
    return entry


def owned_by(entry: Entry, owner: str, group: str) -> bool:
    """Say whether `entry` belongs to them; both may be names or numbers."""
    return (entry.owner == owner or str(entry.uid) == owner) and (entry.group == group or str(entry.gid) == group)


def owner_lines(path: str, owner: str, group: str) -> tuple[str, ...]:
    """Return the line that gives a path just made by root to somebody else; none where root keeps it."""
    if (owner, group) == ("root", "root"):
        return ()
    return (f"chown -h -- {quote(f'{owner}:{group}')} {quote(path)}",)


def attribute_lines(path: str, entry: Entry, owner: str, group: str, mode: int) -> tuple[str, ...]:
    """Return the lines that change owner and permissions of `path` where they differ.

    chown comes first, because it clears the set-user-ID bits. Of a directory chmod(1) clears these only where the mode
    has five digits.
    """
    quoted, lines = quote(path), []
    chowned = not owned_by(entry, owner, group)
    if chowned:
        lines.append(f"chown -h -- {quote(f'{owner}:{group}')} {quoted}")
    if entry.permissions != mode or (chowned and mode & 0o7000):
        digits = 5 if stat.S_ISDIR(entry.mode) and entry.permissions & _SPECIAL & ~mode else 4
        lines.append(f"chmod -- {mode:0{digits}o} {quoted}")
    return tuple(lines)
