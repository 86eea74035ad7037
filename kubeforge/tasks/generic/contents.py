"""What comes from this machine or the network: copies, templates, downloads, archives."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from kubeforge.engine.arguments import names
from kubeforge.engine.local_files import Beside, LocalFile, LocalTemplate
from kubeforge.engine.model import Context
from kubeforge.engine.templating import rendered_file
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Directory, Download, File, Unpacked
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import (
    Environment,
    Mode,
    argv_of,
    content_of,
    env_of,
    file_beside,
    local_content,
    mode_of,
)
from kubeforge.tasks.registry import task

__all__ = ["copy", "download", "template", "unpacked"]

_EXECUTABLE: Final = 0o100


@task("file.copy", aka=("copy", "synchronize"))
def copy(
    context: Context,
    *,
    src: LocalFile,
    dest: str,
    owner: str = "root",
    group: str = "root",
    mode: Mode | None = None,
    directory_mode: Mode = "0755",
    validate: str = "",
) -> Iterator[Operation]:
    """A file of this machine, or a directory with all its files; links are followed. What else is there stays.

    Args:
        src: beside the playbook, in its `files/` first; or an absolute path.
        dest: where it goes: the file's or the directory's own new path.
        owner: user name or number.
        group: group name or number.
        mode: permission bits of files; nothing said: "0644", "0755" where the file here is executable.
        directory_mode: permission bits of directories that are copied.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """
    source = file_beside(context, src)
    check = argv_of(validate) if validate else ()
    if source.is_file():
        bits = _mode(source, mode)
        yield File(path=dest, content=local_content(source), owner=owner, group=group, mode=bits, validate=check)
        return
    yield Directory(path=dest, owner=owner, group=group, mode=mode_of(directory_mode))
    for found in _below(source, (source.resolve(),)):
        path = posixpath.join(dest, found.relative_to(source).as_posix())
        if found.is_dir():
            yield Directory(path=path, owner=owner, group=group, mode=mode_of(directory_mode))
        else:
            bits = _mode(found, mode)
            yield File(path=path, content=local_content(found), owner=owner, group=group, mode=bits, validate=check)


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield what is in a folder of this machine, sorted, links followed; `above`: where one has come through.

    Raises:
        InputError: a link leads nowhere or back, or something is neither file nor folder.
    """
    try:
        listed = sorted(folder.iterdir())
    except OSError as error:
        raise InputError([Problem(message=f"cannot be read: {error.strerror}", file=str(folder))]) from None
    for found in listed:
        real = found.resolve()
        if found.is_dir() and real not in above:
            yield found
            yield from _below(found, (*above, real))
        elif found.is_file():
            yield found
        else:
            why = "the link leads back" if real in above else "the link leads nowhere, or to no file"
            raise InputError([Problem(message=why, file=str(found))])


def _mode(file: Path, mode: Mode | None) -> int:
    if mode is not None:
        return mode_of(mode)
    return 0o755 if stat.S_IMODE(file.stat().st_mode) & _EXECUTABLE else 0o644


@task("file.template", aka=("template",))
def template(
    context: Context,
    *,
    src: LocalTemplate,
    dest: str,
    owner: str = "root",
    group: str = "root",
    mode: Mode = "0644",
    secret: bool = False,
    validate: str = "",
) -> Iterator[Operation]:
    """A file made of a Jinja2 template. One that prints a secret is a secret: no diff and no journal shows it.

    A variable that is not defined is an error, with the template's file and line, before any host is changed.

    Args:
        src: beside the playbook, in its `templates/` first; or an absolute path. It may include others beside it.
        dest: where it goes.
        owner: user name or number.
        group: group name or number.
        mode: permission bits: "0644".
        secret: show nothing of it in diffs, plans and journals, though no variable in it is a secret.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """
    text = rendered_file(file_beside(context, src, "templates"), names(context))
    yield File(
        path=dest,
        content=content_of(text, secret=secret),
        owner=owner,
        group=group,
        mode=mode_of(mode),
        validate=argv_of(validate) if validate else (),
    )


@task("file.download", aka=("get_url",))
def download(
    context: Context,
    *,
    url: str,
    dest: str,
    sha256: str,
    owner: str = "root",
    group: str = "root",
    mode: Mode = "0644",
    environment: Environment | None = None,
) -> Iterator[Operation]:
    """A file that the host fetches itself, by curl or wget; it is put in place only with the right digest.

    Args:
        url: http, https, ftp or file; without a password, for plans show it.
        dest: where it goes; its directory must exist.
        sha256: what the bytes must have, 64 hex digits.
        owner: user name or number.
        group: group name or number.
        mode: permission bits: "0644".
        environment: variables for the program that fetches: https_proxy.
    """
    del context
    yield Download(
        path=dest, url=url, sha256=sha256, owner=owner, group=group, mode=mode_of(mode), env=env_of(environment)
    )


@task("archive.unpacked", aka=("unarchive",))
def unpacked(
    context: Context,
    *,
    src: Annotated[str, Beside("files", unless="on_host")],
    dest: str,
    on_host: bool = False,
    strip: int = 0,
    owner: str = "",
    form: Literal["tar", "zip"] | None = None,
) -> Iterator[Operation]:
    """An archive, unpacked. A stamp in the directory tells its digest, so it is unpacked again only when it changed.

    Args:
        src: tar (with any compression that the host's tar knows) or zip; beside the playbook, in its `files/` first.
        dest: the directory that it is unpacked into; made where it is missing.
        on_host: `src` is an absolute path on the host, which file.download put there.
        strip: leading components of names that are left out; tar only.
        owner: whose the files are; nothing said: root's.
        form: of the archive; nothing said: by its name.
    """
    name = posixpath.basename(src)
    yield Directory(path=dest, owner=owner or "root", group=owner or "root")
    yield Unpacked(
        path=dest,
        archive=src if on_host else local_content(file_beside(context, src)),
        name=name,
        form=form or ("zip" if name.endswith(".zip") else "tar"),
        strip=strip,
        owner=owner,
    )
