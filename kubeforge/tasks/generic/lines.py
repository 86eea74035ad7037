"""Lines and blocks in files that hold other things, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kubeforge.engine.model import Context
from kubeforge.operations import Edited
from kubeforge.operations.edits import BlockEdit, LineEdit
from kubeforge.operations.model import Operation
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import Mode, argv_of, mode_of, text_of
from kubeforge.tasks.registry import task

__all__ = ["block_in_file", "line_in_file"]


@task("file.line", aka=("lineinfile", "replace"))
def line_in_file(
    context: Context,
    *,
    path: str,
    line: str | Secret = "",
    match: str | None = None,
    state: Literal["present", "absent"] = "present",
    after: str | None = None,
    before: str | None = None,
    create: bool = False,
    owner: str = "root",
    group: str = "root",
    mode: Mode = "0644",
    validate: str = "",
) -> Iterator[Operation]:
    """One line in a file. Several tasks on one file add up.

    Args:
        path: absolute; the file itself, not a link to it.
        line: without its end.
        match: a regular expression (Python's); the last line in which it is found becomes `line`.
        state: present, or absent: every line that is `line` or in which `match` is found goes.
        after: where nothing matches, the line goes below the last one in which this is found, else to the end.
        before: likewise, above the first one.
        create: make the file where it is missing.
        owner: of a file that is made.
        group: of a file that is made.
        mode: of a file that is made.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """
    del context
    text = text_of(line, "a line in a file")
    yield Edited(
        path=path,
        edit=LineEdit(line=text, match=match, state=state, after=after, before=before),
        create=create,
        owner=owner,
        group=group,
        mode=mode_of(mode),
        validate=argv_of(validate) if validate else (),
    )


@task("file.block", aka=("blockinfile",))
def block_in_file(
    context: Context,
    *,
    path: str,
    name: str,
    block: str | Secret = "",
    comment: str = "#",
    state: Literal["present", "absent"] = "present",
    after: str | None = None,
    before: str | None = None,
    create: bool = False,
    owner: str = "root",
    group: str = "root",
    mode: Mode = "0644",
    validate: str = "",
) -> Iterator[Operation]:
    """Some lines in a file, between two comments that tell them again.

    Args:
        path: absolute; the file itself, not a link to it.
        name: of the block, unique in its file.
        block: its lines.
        comment: what begins a comment in this file.
        state: present or absent.
        after: where there is no such block yet, it goes below the last line in which this is found, else to the end.
        before: likewise, above the first one.
        create: make the file where it is missing.
        owner: of a file that is made.
        group: of a file that is made.
        mode: of a file that is made.
        validate: a command that must succeed on the new file before it is put in place; `%s` is its path.
    """
    del context
    text = text_of(block, "a block in a file")
    yield Edited(
        path=path,
        edit=BlockEdit(name=name, block=text, comment=comment, state=state, after=after, before=before),
        create=create,
        owner=owner,
        group=group,
        mode=mode_of(mode),
        validate=argv_of(validate) if validate else (),
    )
