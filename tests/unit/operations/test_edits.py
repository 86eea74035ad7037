"""Lines and blocks in texts, and the kind that writes them: applied twice, nothing changes."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable

import pytest

from kubeforge.errors import InputError, Unreadable
from kubeforge.operations import Edited, File
from kubeforge.operations.edits import BlockEdit, Edit, LineEdit
from kubeforge.operations.model import Entry, Observation, Verb, fold
from kubeforge.secret import Secret

SSHD = "Port 22\n#PermitRootLogin yes\nMatch User git\n  PermitRootLogin no\n"

NO = "PermitRootLogin no"


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (LineEdit(line="a"), "", "a\n"),
        (LineEdit(line="a"), "b", "b\na\n"),
        (LineEdit(line="a"), "a\nb\n", "a\nb\n"),
        (LineEdit(line=NO, match="^#?PermitRootLogin"), SSHD, SSHD.replace("#PermitRootLogin yes", NO)),
        (LineEdit(line="x", match="^y"), "y1\ny2\n", "y1\nx\n"),
        (LineEdit(line="x", after="^a"), "a\nb\n", "a\nx\nb\n"),
        (LineEdit(line="x", after="^z"), "a\nb\n", "a\nb\nx\n"),
        (LineEdit(line="x", before="^b"), "a\nb\nb\n", "a\nx\nb\nb\n"),
        (LineEdit(match="^y", state="absent"), "y1\na\ny2\n", "a\n"),
        (LineEdit(line="a", state="absent"), "a\nab\n", "ab\n"),
        (LineEdit(line="a", state="absent"), "b", "b"),
        (BlockEdit(name="n", block="1\n2"), "a\n", "a\n# >>> kubeforge: n\n1\n2\n# <<< kubeforge: n\n"),
        (
            BlockEdit(name="n", block="2"),
            "a\n# >>> kubeforge: n\n1\n# <<< kubeforge: n\nb\n",
            "a\n# >>> kubeforge: n\n2\n# <<< kubeforge: n\nb\n",
        ),
        (BlockEdit(name="n", state="absent"), "a\n# >>> kubeforge: n\n1\n# <<< kubeforge: n\nb\n", "a\nb\n"),
        (BlockEdit(name="n", state="absent"), "a", "a"),
        (LineEdit(line="b"), "a\r\nx\r\n", "a\r\nx\r\nb\r\n"),
        (LineEdit(line="x", match="^x$"), "a\r\nx\r\n", "a\r\nx\r\n"),
        (LineEdit(line="b"), "a\r\nx\n", "a\r\nx\nb\n"),
        (LineEdit(line="b"), "\x0cpage\x0b \x1c\x85\u2028\n", "\x0cpage\x0b \x1c\x85\u2028\nb\n"),
        (LineEdit(line="b", state="absent"), "a\x0c\nb\n", "a\x0c\n"),
        (
            BlockEdit(name="n", block="1\x0c\n\n2\n"),
            "a\r\n",
            "a\r\n# >>> kubeforge: n\r\n1\x0c\r\n\r\n2\r\n# <<< kubeforge: n\r\n",
        ),
        (
            BlockEdit(name="n", block="1", comment=";", before="^b"),
            "a\nb\n",
            "a\n; >>> kubeforge: n\n1\n; <<< kubeforge: n\nb\n",
        ),
    ],
)  # fmt: skip
def test_edits(edit: Edit, before: str, after: str) -> None:
    assert edit.apply(before) == after
    assert edit.apply(after) == after


@pytest.mark.parametrize(
    "make",
    [
        lambda: LineEdit(line="a\nb"),
        LineEdit,
        lambda: LineEdit(line="a", match="("),
        lambda: BlockEdit(name=" "),
        lambda: BlockEdit(name="n", after="("),
        lambda: Edited(path="relative", edit=LineEdit(line="a")),
    ],
)
def test_what_is_no_edit(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


def seen(content: bytes, mode: int = stat.S_IFREG | 0o600) -> Observation:
    return Observation(
        paths={"/etc/x": Entry(mode, "app", "app")},
        hashes={"/etc/x": hashlib.sha256(content).hexdigest()},
        contents={"/etc/x": content},
    )


def test_several_edits_of_one_file_add_up() -> None:
    edits = [Edited(path="/etc/x", edit=LineEdit(line=line)) for line in ("a", "b", "c", "a")]
    changes, after = fold(edits, seen(b"a\n"))
    assert [change.title for change in changes] == ["edit /etc/x: b", "edit /etc/x: c"]
    assert after.contents["/etc/x"] == b"a\nb\nc\n"
    assert changes[0].payload_mode == 0o600
    assert "chown -h -- app:app '/etc/.x.kubeforge~'" in changes[0].lines, "owner and mode stay as they were"
    assert fold(edits, after)[0] == []


def test_after_a_file_is_written_the_edit_knows_it_unless_it_is_secret() -> None:
    edit = Edited(path="/etc/x", edit=LineEdit(line="b"), validate=("check", "%s"))
    changes, after = fold([File(path="/etc/x", content=b"a\n"), edit], seen(b"old\n"))
    assert after.contents["/etc/x"] == b"a\nb\n"
    assert changes[1].lines[0] == 'check "$P"'
    with pytest.raises(Unreadable, match="with a secret"):
        fold([File(path="/etc/x", content=Secret("a\n")), edit], seen(b"old\n"))


def test_files_that_are_missing_or_none() -> None:
    missing = Observation(paths={"/etc/x": None}, hashes={"/etc/x": None})
    made = Edited(path="/etc/x", edit=LineEdit(line="a"), create=True, mode=0o640).decide(missing)
    assert made is not None
    assert (made.verb, made.payload, made.payload_mode) == (Verb.CREATE, b"a\n", 0o640)
    with pytest.raises(Unreadable, match="is missing"):
        Edited(path="/etc/x", edit=LineEdit(line="a")).decide(missing)
    assert Edited(path="/etc/x", edit=LineEdit(line="a", state="absent")).decide(missing) is None
    with pytest.raises(Unreadable, match="a directory"):
        Edited(path="/etc/x", edit=LineEdit(line="a")).decide(seen(b"", stat.S_IFDIR | 0o755))


def test_a_file_is_checked_before_it_is_put_in_place() -> None:
    change = File(path="/etc/sudoers.d/x", content=b"x\n", validate=("visudo", "-cf", "%s")).decide(
        Observation(paths={"/etc/sudoers.d/x": None}, hashes={"/etc/sudoers.d/x": None})
    )
    assert change is not None
    assert change.lines[0] == 'visudo -cf "$P"'
