"""Observe, decide and act by real shells; everything applied twice."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from kubeforge.errors import ArtifactError, ProtocolError, Unreadable
from kubeforge.operations import Absent, Artifact, Command, Directory, File, Symlink
from kubeforge.operations.model import Entry, LocalContent, Observation, Operation, Queries, UnreadablePath, Verb
from kubeforge.secret import Secret
from kubeforge.transport.protocol import act, observe
from kubeforge.transport.protocol.framing import chunked

from .conftest import ROOT, Host

ODD = ("a b", "new\nline", "quo'te\"$(id)`x`", "-dash", "b\\ack", "l\udce9n", "ümläut", "*", "=> ", " -> x", "tab\t")
BINARY = bytes(range(256)) * 9


def file(host: Host, name: str, content: bytes | Secret | LocalContent | None, mode: int = 0o640) -> File:
    return File(path=host.path(name), content=content, owner=host.owner, group=host.group, mode=mode)


def folder(host: Host, name: str, mode: int = 0o750) -> Directory:
    return Directory(path=host.path(name), owner=host.owner, group=host.group, mode=mode)


def local(path: Path, content: bytes) -> LocalContent:
    path.write_bytes(content)
    return LocalContent(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def test_kinds_of_paths(every_host: Host) -> None:
    host = every_host
    operations: list[Operation] = [
        folder(host, "d"),
        file(host, "d/file", b"one\n"),
        file(host, "d/secret", Secret("s3cret"), 0o600),
        file(host, "d/empty", None),
        Symlink(path=host.path("link"), target="d/file"),
        Command(argv=("sh", "-c", f"echo made > {host.place}/made"), creates=host.path("made")),
        Absent(path=host.path("nothing")),
    ]
    assert host.apply(operations) == [operation.title for operation in operations[:-1]]
    assert host.apply(operations) == []
    assert (host.place / "d/file").read_bytes() == b"one\n"
    assert stat.S_IMODE((host.place / "d").stat().st_mode) == 0o750
    assert stat.S_IMODE((host.place / "d/secret").stat().st_mode) == 0o600
    assert (host.place / "d/secret").owner() == host.owner
    assert (host.place / "link").readlink() == Path("d/file")
    assert (host.place / "made").read_text() == "made\n"

    second: list[Operation] = [
        file(host, "d/file", b"two\n", 0o600),
        file(host, "d/empty", None, 0o604),
        folder(host, "d", 0o700),
        Symlink(path=host.path("link"), target="elsewhere"),
        Absent(path=host.path("made")),
    ]
    assert host.apply(second) == [operation.title for operation in second]
    assert host.apply(second) == []
    assert stat.S_IMODE((host.place / "d/empty").stat().st_mode) == 0o604
    assert not (host.place / "made").exists()


def test_odd_names_and_bytes(every_host: Host) -> None:
    host = every_host
    operations: list[Operation] = [
        *(file(host, f"{name}.f", BINARY) for name in ODD),
        *(Symlink(path=host.path(f"{name}.l"), target=name) for name in ODD),
        *(folder(host, f"{name}.d") for name in ODD),
        *(Command(argv=("touch", host.path(f"{name}.c")), creates=host.path(f"{name}.c")) for name in ODD),
    ]
    assert len(host.apply(operations)) == 4 * len(ODD)
    assert host.apply(operations) == []
    asked = Queries(reads=tuple(host.path(f"{name}.f") for name in ODD))
    assert host.remote.observe(asked).contents == dict.fromkeys(asked.reads, BINARY)
    seen = host.remote.observe(Queries(stats=tuple(host.path(f"{name}.l") for name in ODD)))
    assert [entry.target for entry in seen.paths.values() if isinstance(entry, Entry)] == list(ODD)
    gone = [Absent(path=host.path(f"{name}.{kind}"), recursive=True) for name in ODD for kind in "flcd"]
    assert len(host.apply(gone)) == 4 * len(ODD)
    assert [path.name for path in host.place.iterdir()] == ["state"]


def test_missing_and_unreadable_are_three_things(every_host: Host) -> None:
    host = every_host
    host.apply([file(host, "file", b"x")])
    stats = (host.path("none"), host.path("file"), host.path("file/below"), host.path("x" * 300))
    seen = host.remote.observe(Queries(stats=stats, hashes=stats, reads=stats))
    assert seen.paths[stats[0]] is None
    assert isinstance(seen.paths[stats[1]], Entry)
    assert seen.paths[stats[2]] is None  # below a file nothing can be
    assert seen.paths[stats[3]] == seen.hashes[stats[3]] == UnreadablePath("File name too long")
    assert list(seen.contents) == [stats[1]]


@pytest.mark.skipif(not ROOT, reason="needs two users")
def test_what_nobody_may_read_is_not_missing(every_host: Host) -> None:
    host = every_host
    if host.owner == "root":
        pytest.skip("root reads everything")
    locked = host.place / "locked"
    locked.mkdir(mode=0o700)
    (locked / "x").write_text("s")
    (host.place / "secret").write_text("s")
    (host.place / "secret").chmod(0o600)
    with pytest.raises(Unreadable, match="Permission denied"):
        host.plan([File(path=str(locked / "x"), content=b"s")])
    with pytest.raises(Unreadable, match="Permission denied"):
        host.plan([File(path=host.path("secret"), content=b"s", mode=0o600)])


def test_artifacts_are_stored_once(every_host: Host, tmp_path: Path) -> None:
    host = every_host
    content = local(tmp_path / "program", b"#!/bin/sh\necho one\n" + bytes(700_000))
    other = local(tmp_path / "other", b"#!/bin/sh\necho two\n")
    store = host.path("store")

    def linked(name: str, what: LocalContent) -> Artifact:
        return Artifact(path=host.path(name), content=what, store=store)

    changes = host.plan([linked("a", content), linked("b", content)])
    assert [change.payload for change in changes] == [content, None]
    assert [result.status for result in host.act(changes)] == [0, 0]
    assert host.plan([linked("a", content), linked("b", content)]) == []
    assert Path(host.path("b")).read_bytes() == content.path.read_bytes()
    assert os.access(host.path("a"), os.X_OK)
    host.apply([linked("a", other)])
    back = host.plan([linked("a", content)])
    assert [change.payload for change in back] == [None]
    assert back[0].verb is Verb.UPDATE


def test_a_broken_artifact_is_never_linked(host: Host, tmp_path: Path) -> None:
    good = local(tmp_path / "program", b"good")
    broken = LocalContent(path=good.path, sha256="0" * 64, size=good.size)
    changes = host.plan([Artifact(path=host.path("a"), content=broken, store=host.path("store"))])
    assert host.act(changes)[0].status != 0
    assert not os.path.lexists(host.path("a"))
    assert not os.path.lexists(host.path("store"))


@pytest.mark.parametrize("size", [3, 9])
def test_a_file_that_changed_size_stops_the_upload(host: Host, tmp_path: Path, size: int) -> None:
    content = LocalContent(path=tmp_path / "x", sha256="0" * 64, size=6)
    content.path.write_bytes(b"x" * size)
    changes = host.plan([file(host, "first", b"1"), file(host, "second", content)])
    with pytest.raises(ArtifactError, match="bytes any more"):
        host.act(changes)
    assert [path.name for path in host.place.iterdir()] == ["state"]
    assert list(host.state.iterdir()) == []


def test_a_big_file_is_checked_and_written(host: Host, tmp_path: Path) -> None:
    content = local(tmp_path / "big", os.urandom(1_000_000))
    assert host.apply([file(host, "big", content)]) == [f"file {host.path('big')}"]
    assert host.apply([file(host, "big", content)]) == []
    wrong = LocalContent(path=content.path, sha256="1" * 64, size=content.size)
    assert host.act(host.plan([file(host, "big", wrong)]))[0].status != 0
    assert (host.place / "big").read_bytes() == content.path.read_bytes()


def test_changes_of_one_path_add_up(host: Host) -> None:
    target = host.path("x")
    operations: list[Operation] = [
        file(host, "x", b"1"),
        Absent(path=target),
        Symlink(path=target, target="y"),
        file(host, "x", b"2", 0o600),
    ]
    assert len(host.apply(operations)) == 4
    assert (host.place / "x").read_bytes() == b"2"
    assert host.apply(operations[-1:]) == []


def test_answers_about_the_system(host: Host) -> None:
    asked = Queries(
        packages=("coreutils", "no-such-package"),
        units=("no-such.service",),
        sysctls=("kernel.ostype", "no.such"),
        modules=("no_such_module",),
        mounts=("/", "/proc", "/no/mount"),
        tests=(("true",), ("false",), ("exit", "3"), ("sh", "-c", "exit 4"), ("test", "-d", "/")),
    )
    seen = host.remote.observe(asked)
    assert seen.sysctls == {"kernel.ostype": "Linux", "no.such": None}
    assert seen.modules == {"no_such_module": False}
    assert seen.mounts["/no/mount"] is None
    root, proc = seen.mounts["/"], seen.mounts["/proc"]
    assert root is not None
    assert proc is not None
    assert (proc.source, proc.fstype) == ("proc", "proc")
    assert list(seen.tests.values()) == [0, 1, 127, 4, 0]
    assert seen.packages["no-such-package"] is None
    assert seen.units["no-such.service"].load in ("not-found", "unknown")


def test_outputs_of_scripts(every_host: Host) -> None:
    """Each in a shell of its own, whatever it does; what it prints on standard error is nobody's error line."""
    host = every_host
    scripts = ("echo a; V=1; exit 3", "echo ${V-unset}; cat; echo no >&2 # comment", "printf 'two\nlines'", "")
    missing = host.path("missing")
    seen = host.remote.observe(Queries(outputs=scripts, stats=(missing,), tests=(("true",),)))
    assert list(seen.outputs.items()) == list(zip(scripts, ["a\n", "unset\n", "two\nlines", ""], strict=True))
    assert seen.paths == {missing: None}
    assert seen.tests == {("true",): 0}


@pytest.mark.parametrize(
    ("asked", "programs"),
    [
        (Queries(tests=(("true",),)), []),
        (Queries(outputs=("echo x",)), []),
        (Queries(stats=("/a", "/b")), ["stat"]),
        (Queries(stats=("/a",), hashes=("/a", "/b")), ["stat", "sha256sum"]),
        (Queries(modules=("overlay",)), ["grep", "grep"]),
        (Queries(sysctls=("a.b", "c.d")), ["head"]),
        (Queries(units=("a.service", "b.service")), ["systemctl"]),
    ],
)
def test_no_more_processes_than_asked(asked: Queries, programs: list[str]) -> None:
    text = observe.script(asked, "kf1").decode()
    known = ("stat ", "sha256sum ", "tar ", "dpkg-query ", "systemctl ", "head ", "grep ", "ctr ")
    assert [word.strip() for word in known for _ in range(text.count(word))] == programs


def test_many_names_go_in_few_commands() -> None:
    lines = list(chunked("stat --", [f"/some/longer/path/{number}" for number in range(5000)]))
    assert 1 < len(lines) < 5
    assert all(len(line) < 70_000 for line in lines)
    assert sum(line.count("/path/") for line in lines) == 5000


def test_five_thousand_files(host: Host) -> None:
    names = tuple(host.path(f"n{number}") for number in range(5000))
    Path(names[4999]).write_text("x")
    seen = host.remote.observe(Queries(stats=names, hashes=names))
    assert [name for name, entry in seen.paths.items() if entry is not None] == [names[4999]]
    assert sum(found is not None for found in seen.hashes.values()) == 1


def test_run_read_write(every_host: Host) -> None:
    host = every_host
    target = host.path("w 'x'\n")
    host.remote.write(target, Secret(BINARY), mode=0o604)
    assert host.remote.read(target) == BINARY
    assert stat.S_IMODE(Path(target).stat().st_mode) == 0o604
    assert host.remote.run(("printf", "%s|", "a\nb", "c'd", "")).stdout == b"a\nb|c'd||"
    assert host.remote.run(("cat",), stdin=Secret(BINARY)).stdout == BINARY
    assert host.remote.run(("sh", "-c", "exit 7"), expect=(0, 7)).status == 7


def test_big_files_are_never_held_in_memory(tmp_path: Path) -> None:
    content = LocalContent(path=tmp_path / "big", sha256="0" * 64, size=3_000_000)
    content.path.write_bytes(bytes(content.size))
    change = File(path="/big", content=content).decide(Observation(paths={"/big": None}, hashes={"/big": None}))
    assert change is not None
    seen = Observation(paths={"/big": None}, hashes={"/big": None})
    sizes = [len(chunk) for chunk in act.prepare([change], seen, run_id="r").chunks()]
    assert max(sizes) == 256 * 1024
    assert sum(sizes) > content.size


@pytest.mark.parametrize(("said", "target"), [(b"/l -> a -> b", "a -> b"), (b"'/l' -> 'a b'", "a b")])
def test_targets_of_links(said: bytes, target: str) -> None:
    record = b"\0".join([b"/l", b"a1ff", b"root", b"UNKNOWN", b"0", b"7", b"1", b"2", said, b""])
    seen = observe.parse(Queries(stats=("/l",)), "kf1", b"kf1\0" + record + b"\0kf1", b"kf1\0\0")
    entry = seen.paths["/l"]
    assert isinstance(entry, Entry)
    assert (entry.target, entry.group, entry.modified) == (target, "7", 2)
    with pytest.raises(ProtocolError, match="not known"):
        observe.parse(Queries(stats=("/l",)), "kf1", b"kf1\0" + record.replace(said, b"?") + b"\0kf1", b"kf1\0\0")


def test_what_directories_hold(every_host: Host) -> None:
    host = every_host
    host.apply([folder(host, "full"), folder(host, "empty"), *(file(host, f"full/{name}", b"x") for name in ODD)])
    (host.place / "full/dangling").symlink_to("nowhere")
    (host.place / "full/.hidden").touch()
    asked = tuple(host.path(name) for name in ("full", "empty", "missing", "full/.hidden"))
    seen = host.remote.observe(Queries(folders=asked, stats=(host.path("full"),), modules=("overlay",)))
    assert seen.folders[asked[0]] == tuple(sorted([*ODD, "dangling", ".hidden"]))
    assert [seen.folders[path] for path in asked[1:]] == [(), (), ()]
    assert set(seen.modules) == {"overlay"}, "what follows is read from where it begins"
