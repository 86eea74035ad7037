"""Files, directories and links: what is at a path, whose it is, and who may do what with it."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.model import Context
from kubeforge.operations import Absent, Directory, File, Symlink
from kubeforge.operations.model import Operation
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import Mode, argv_of, content_of, mode_of
from kubeforge.tasks.registry import task

__all__ = ["absent", "directory", "link", "present"]


@task("file.present", aka=("file", "touch"))
def present(
    context: Context,
    *,
    path: str,
    content: str | Secret | None = None,
    owner: str = "root",
    group: str = "root",
    mode: Mode = "0644",
    secret: bool = False,
    validate: str = "",
) -> Iterator[Operation]:
    """A regular file.

    Its directory must exist when the change is made. It is written whole and put in place by a rename, so nobody ever
    reads half of it.

    Args:
        path: absolute.
        content: what it holds; nothing said: it exists, with whatever content.
        owner: user name or number.
        group: group name or number.
        mode: permission bits: "0644".
        secret: show nothing of it in diffs, plans and journals, though no variable in it is a secret.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """
    del context
    yield File(
        path=path,
        content=None if content is None else content_of(content, secret=secret),
        owner=owner,
        group=group,
        mode=mode_of(mode),
        validate=argv_of(validate) if validate else (),
    )


@task("file.directory", aka=("mkdir",))
def directory(
    context: Context, *, path: str, owner: str = "root", group: str = "root", mode: Mode = "0755"
) -> Iterator[Operation]:
    """A directory; parents that are missing are made as root's with mode 0755.

    Args:
        path: absolute.
        owner: user name or number.
        group: group name or number.
        mode: permission bits: "0755".
    """
    del context
    yield Directory(path=path, owner=owner, group=group, mode=mode_of(mode))


@task("file.link", aka=("symlink",))
def link(context: Context, *, path: str, target: str) -> Iterator[Operation]:
    """A symbolic link; a file or another link in its place is replaced.

    Args:
        path: where the link is; absolute.
        target: what it holds; it need not exist.
    """
    del context
    yield Symlink(path=path, target=target)


@task("file.absent", aka=("remove",))
def absent(context: Context, *, path: str, recursive: bool = False) -> Iterator[Operation]:
    """Nothing is at a path. What was there is kept in the host's generation.

    Args:
        path: absolute.
        recursive: a directory goes with everything below it, but for what is mounted there.
    """
    del context
    yield Absent(path=path, recursive=recursive)
