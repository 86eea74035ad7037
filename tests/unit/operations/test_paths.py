"""File, Directory, Absent, Symlink, Artifact, Command: every state that a path can be in."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.errors import InputError, Unreadable
from kubeforge.operations import Absent, Artifact, Command, Directory, File, Symlink, TimeZone
from kubeforge.operations.model import Change, Entry, LocalContent, Observation, Operation, UnreadablePath, Verb, fold
from kubeforge.operations.shell import quote
from kubeforge.secret import Secret

P = "/etc/x"
CONTENT = b"content\n"
SHA = hashlib.sha256(CONTENT).hexdigest()
PLAIN = Entry(stat.S_IFREG | 0o644, uid=0, gid=0)
FOLDER = Entry(stat.S_IFDIR | 0o755, uid=0, gid=0)
LINK = Entry(stat.S_IFLNK | 0o777, target="there")
LOCKED = UnreadablePath("Permission denied")
STORED = "/var/lib/kubeforge/store/sha256/" + SHA


def at(entry: Entry | UnreadablePath | None, sha: str | UnreadablePath | None = None) -> Observation:
    return Observation(paths={P: entry, "/etc": FOLDER, STORED: None}, hashes={P: sha})


def zoned(database: Entry | None, zone: Entry | None, link: Entry | None = None) -> Observation:
    there = {"/usr/share/zoneinfo": database, "/usr/share/zoneinfo/Etc/UTC": zone, "/etc/localtime": link}
    return Observation(paths=dict(there))


ZONE = TimeZone(name="Etc/UTC")
FILE = File(path=P, content=CONTENT)
TABLE: list[tuple[Operation, Observation, tuple[Verb, str] | None]] = [
    (FILE, at(None), (Verb.CREATE, "is missing")),
    (FILE, at(PLAIN, SHA), None),
    (FILE, at(PLAIN, "0" * 64), (Verb.UPDATE, "other content")),
    (FILE, at(LINK, SHA), (Verb.UPDATE, "is a symbolic link to there")),
    (FILE, at(Entry(stat.S_IFREG | 0o600), SHA), (Verb.UPDATE, "owner and mode are root:root 0600")),
    (FILE, at(Entry(stat.S_IFREG | 0o644, "me"), SHA), (Verb.UPDATE, "owner and mode are me:root 0644")),
    (File(path=P, content=CONTENT, owner="0", group="0"), at(PLAIN, SHA), None),
    (File(path=P, content=Secret(CONTENT)), at(PLAIN, SHA), None),
    (File(path=P, content=None), at(PLAIN), None),
    (File(path=P, content=None), at(None), (Verb.CREATE, "is missing")),
    (File(path=P, content=None, mode=0o600), at(PLAIN), (Verb.UPDATE, "owner and mode are root:root 0644")),
    (Directory(path=P), at(None), (Verb.CREATE, "is missing")),
    (Directory(path=P), at(FOLDER), None),
    (Directory(path=P), at(LINK), None),
    (Directory(path=P, mode=0o700), at(FOLDER), (Verb.UPDATE, "owner and mode are root:root 0755")),
    (Absent(path=P), at(None), None),
    (Absent(path=P), at(PLAIN), (Verb.REMOVE, "is there")),
    (Absent(path=P), at(FOLDER), (Verb.REMOVE, "is there")),
    (Absent(path=P, recursive=True), at(FOLDER), (Verb.REMOVE, "is there, with everything below it")),
    (Symlink(path=P, target="there"), at(LINK), None),
    (Symlink(path=P, target="here"), at(LINK), (Verb.UPDATE, "points to there")),
    (Symlink(path=P, target="here"), at(None), (Verb.CREATE, "is missing")),
    (Symlink(path=P, target="here"), at(PLAIN), (Verb.UPDATE, "is a regular file")),
    (ZONE, zoned(FOLDER, PLAIN), (Verb.CREATE, "/etc/localtime is missing")),
    (ZONE, zoned(FOLDER, PLAIN, LINK), (Verb.UPDATE, "/etc/localtime points to there")),
    (ZONE, zoned(None, None), (Verb.CREATE, "/etc/localtime is missing")),
    (Command(argv=("true",), creates=P), at(PLAIN), None),
    (Command(argv=("true",), creates=P), at(None), (Verb.RUN, "/etc/x is missing")),
    (Command(argv=("true",)), at(None), (Verb.RUN, "is due")),
]


@pytest.mark.parametrize(("operation", "seen", "expected"), TABLE)
def test_decides(operation: Operation, seen: Observation, expected: tuple[Verb, str] | None) -> None:
    change = operation.decide(seen)
    assert (None if change is None else (change.verb, change.why)) == expected
    if change is not None:
        again = operation.decide(seen.after(change))
        assert again is None or isinstance(operation, Command)  # a bare command is always due


REFUSED: list[tuple[Operation, Observation, str]] = [
    (FILE, at(FOLDER), "/etc/x is a directory; a file shall be there, and it is not replaced"),
    (FILE, at(Entry(stat.S_IFIFO | 0o644)), "is a named pipe"),
    (FILE, at(LOCKED), "could not be looked at: Permission denied"),
    (FILE, at(PLAIN, LOCKED), "could not be read: Permission denied"),
    (Directory(path=P), at(PLAIN), "is a regular file; a directory shall be there"),
    (Directory(path=P), at(LOCKED), "Permission denied"),
    (Absent(path=P), at(LOCKED), "Permission denied"),
    (Symlink(path=P, target="x"), at(FOLDER), "is a directory; a symbolic link shall be there"),
    (Symlink(path=P, target="x"), at(LOCKED), "Permission denied"),
    (ZONE, zoned(FOLDER, None), "there is no time zone Etc/UTC below /usr/share/zoneinfo"),
    (ZONE, zoned(FOLDER, FOLDER), "there is no time zone Etc/UTC"),
    (Command(argv=("true",), creates=P), at(LOCKED), "Permission denied"),
]


@pytest.mark.parametrize(("operation", "seen", "cause"), REFUSED)
def test_refuses(operation: Operation, seen: Observation, cause: str) -> None:
    with pytest.raises(Unreadable) as raised:
        operation.decide(seen)
    assert cause in str(raised.value)
    assert raised.value.step == operation.title
    assert raised.value.remedy


@pytest.mark.parametrize("path", ["", "/", "x", "/a/", "/a//b", "/a/../b", "/a/./b", "/a\0b", "//a"])
def test_bad_paths_are_refused_at_once(path: str) -> None:
    for make in (
        lambda: File(path=path, content=b""),
        lambda: Directory(path=path),
        lambda: Absent(path=path),
        lambda: Symlink(path=path, target="x"),
        lambda: Command(argv=("true",), creates=path),
    ):
        with pytest.raises(InputError, match="1 problem"):
            make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Command(argv=()),
        lambda: Command(argv=("x",), env={"A B": "1"}),
        lambda: Command(argv=("x",), env={"Ä": "1"}),
    ],
)
def test_bad_commands_are_refused_at_once(make: Callable[[], Command]) -> None:
    with pytest.raises(InputError):
        make()


def test_a_file_is_written_beside_and_renamed() -> None:
    change = File(path="/etc/a b", content=CONTENT, owner="me", group="us", mode=0o640).decide(
        Observation(paths={"/etc/a b": None}, hashes={"/etc/a b": None})
    )
    assert change is not None
    cleared = quote("rm -f -- '/etc/.a b.kubeforge~'")
    assert change.lines == (
        f"trap {cleared} EXIT",
        "cp -pT --remove-destination -- \"$P\" '/etc/.a b.kubeforge~'",
        "chown -h -- me:us '/etc/.a b.kubeforge~'",
        "mv -fT -- '/etc/.a b.kubeforge~' '/etc/a b'; trap - EXIT",
    )
    assert change.payload_mode == 0o640
    assert change.touches == ("/etc/a b",)


def test_set_user_id_survives_chown() -> None:
    change = File(path=P, content=CONTENT, owner="me", mode=0o4755).decide(at(None))
    assert change is not None
    assert [line.split()[0] for line in change.lines] == ["trap", "cp", "chown", "chmod", "mv"]
    change = File(path=P, content=CONTENT, mode=0o4755).decide(at(Entry(stat.S_IFREG | 0o4755, "me"), SHA))
    assert change is not None
    assert change.lines == ("chown -h -- root:root /etc/x", "chmod -- 4755 /etc/x")


def test_no_secret_is_shown() -> None:
    change = File(path=P, content=Secret("hunter2")).decide(at(None))
    assert change is not None
    assert "hunter2" not in repr(change)
    assert change.effect.contents == {}
    assert "hunter2" not in repr(Command(argv=("x",), stdin=Secret("hunter2")).decide(at(None)))


def test_directories_take_missing_parents_along() -> None:
    seen = Observation(paths={"/a": FOLDER, "/a/b": None, "/a/b/c": None, "/a/b/c/d": None})
    operation = Directory(path="/a/b/c/d", owner="me", mode=0o700)
    assert operation.observe().stats == ("/a", "/a/b", "/a/b/c", "/a/b/c/d")
    change = operation.decide(seen)
    assert change is not None
    assert change.touches == ("/a/b", "/a/b/c", "/a/b/c/d")
    assert change.lines == (
        "mkdir -m 00755 -- /a/b /a/b/c",
        "mkdir -m 00700 -- /a/b/c/d",
        "chown -h -- me:root /a/b/c/d",
    )
    assert Directory(path="/a/b").decide(seen.after(change)) is None


def test_what_is_below_a_removed_folder_is_gone_too() -> None:
    seen = Observation(paths={"/d": FOLDER, "/d/f": PLAIN, "/dd": PLAIN}, hashes={"/d/f": SHA, "/dd": SHA})
    changes, after = fold(
        [Absent(path="/d", recursive=True), File(path="/d/f", content=CONTENT), File(path="/dd", content=CONTENT)], seen
    )
    assert [(change.verb, change.title) for change in changes] == [
        (Verb.REMOVE, "absent /d"),
        (Verb.CREATE, "file /d/f"),
    ]
    assert changes[0].deep == ("/d",)
    assert after.paths["/d"] is None
    kept = Absent(path="/d", recursive=True, keep=False).decide(seen)
    assert kept is not None
    assert kept.touches == kept.deep == ()


def test_four_changes_of_one_path_fold() -> None:
    operations: list[Operation] = [
        File(path=P, content=b"1"),
        File(path=P, content=b"2"),
        File(path=P, content=b"2", mode=0o600),
        File(path=P, content=b"2", mode=0o600),
        Absent(path=P),
    ]
    changes, after = fold(operations, at(PLAIN, SHA))
    assert [change.why for change in changes] == [
        "other content",
        "other content",
        "owner and mode are root:root 0644",
        "is there",
    ]
    assert after.paths[P] is None
    assert changes[2].payload is None


def test_artifacts_of_one_digest_are_uploaded_once(tmp_path: Path) -> None:
    content = LocalContent(path=tmp_path / "x", sha256=SHA, size=8)
    names = ("/usr/local/bin/a", "/usr/local/bin/b")
    seen = Observation(paths={**dict.fromkeys(names), STORED: None})
    changes, after = fold([Artifact(path=name, content=content, selinux=True) for name in names], seen)
    assert [change.payload for change in changes] == [content, None]
    assert "chcon -t bin_t" in changes[0].lines[1]
    assert changes[0].touches == names[:1]  # the store is no part of a generation
    assert Artifact(path=names[0], content=content).decide(after) is None
    lost = replaced(after, STORED, None)
    change = Artifact(path=names[0], content=content).decide(lost)
    assert change is not None
    assert change.why == "is not in the store any more"


def replaced(seen: Observation, path: str, entry: Entry | None) -> Observation:
    return seen.overlaid(Observation(paths={path: entry}))


def test_artifacts_replace_files_but_not_folders(tmp_path: Path) -> None:
    artifact = Artifact(path=P, content=LocalContent(path=tmp_path / "x", sha256=SHA, size=8))
    change = artifact.decide(at(PLAIN))
    assert isinstance(change, Change)
    assert change.why == "is a regular file"
    with pytest.raises(Unreadable, match="is a directory"):
        artifact.decide(at(FOLDER))


def test_a_commands_surroundings() -> None:
    command = Command(argv=("a", "b c"), env={"K": "v w"}, stdin=Secret("s"), unless=("test", "-e", "/x"), name="n")
    assert command.title == "command n"
    (test,) = command.observe().tests
    assert test == ("sh", "-ec", "export K='v w'\nexec test -e /x"), "`unless` has the same surroundings"
    seen = Observation(tests={test: 1})
    change = command.decide(seen)
    assert change is not None
    assert change.lines == ("export K='v w'", "a 'b c' <\"$P\"")
    assert command.decide(seen.after(change)) is None
