"""A list of what was there, and a directory cleared of all the rest; real shells, real files."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from kubeforge.errors import ChangedUnderneath
from kubeforge.operations import Cleared, File, Listing
from kubeforge.operations.listing import parse_listing, told
from kubeforge.operations.model import Listed, Queries, Verb
from kubeforge.secret import Secret

from .conftest import Host

ODD = ("a b", "new\nline", "quo'te\"$(id)`x`", "-dash", "b\\ack", "l\udce9n", "*", "{path}", "%p")


def grow(top: Path, *names: str) -> None:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, errors="surrogateescape")


def contents(host: Host) -> dict[str, tuple[object, ...]]:
    """Everything below `d`: permissions, owner, content or target, and of what is no directory also its time."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (host.place / "d").rglob("*"):
        info = path.lstat()
        what: object = None
        if path.is_symlink():
            what = os.readlink(path), info.st_mtime_ns  # noqa: PTH115 - the target may be no path
        elif path.is_file():
            what = path.read_bytes(), info.st_mtime_ns
        found[str(path.relative_to(host.place / "d"))] = (info.st_mode, info.st_uid, info.st_gid, what)
    return found


def listed(host: Host, operation: Listing) -> Mapping[str, Listed]:
    assert host.apply([operation]) == [operation.title]
    return parse_listing((host.place / "list").read_bytes())


def own(host: Host) -> None:
    """Give what the test has made to whom the host's commands run as."""
    if os.geteuid() == 0:
        uid = (host.place).stat().st_uid
        for path in [host.place / "d", *(host.place / "d").rglob("*")]:
            os.lchown(path, uid, int(host.group))


def test_only_what_was_there_is_left(every_host: Host) -> None:
    host = every_host
    top = host.place / "d"
    grow(top, "pki/ca.crt", "pki/ca.key", "odd/x", *(f"odd/{name}" for name in ODD))
    (top / "empty").mkdir()
    (top / "link").symlink_to("pki")
    (top / "broken").symlink_to("nowhere")
    (top / "pki/ca.key").chmod(0o604)
    own(host)
    before = contents(host)
    stays = listed(host, Listing(path=host.path("list"), trees=(str(top), host.path("missing"))))
    assert stays.keys() == {str(top), *(str(top / name) for name in before)}
    assert stays[str(top / "pki/ca.key")] == Listed("f", 0o604, str(top.stat().st_uid), host.group)

    grow(top, "pki/apiserver.crt", "manifests/deep/er/x", *(f"pki/new {name}" for name in ODD), "empty/new")
    (top / "pki/new-link").symlink_to("ca.crt")
    own(host)
    operation = Cleared(path=str(top), stays=stays, strangers=(str(top / "manifests/deep/er/x"),))
    [change] = host.plan([operation])
    assert change.verb is Verb.REMOVE
    assert change.why == (
        "all but what was there before: broken, empty, link, odd/%p, odd/*, odd/-dash and 9 more; "
        "with it goes what kubeforge does not know: manifests/deep/er/x"
    )
    assert host.apply([operation]) == [operation.title]
    assert contents(host) == before
    host.apply([operation])
    assert contents(host) == before


def test_a_directory_that_was_not_there_goes(every_host: Host) -> None:
    host = every_host
    operation = Cleared(path=host.path("d"))
    assert host.apply([operation]) == []
    grow(host.place / "d", "a/b", *ODD)
    own(host)
    [change] = host.plan([operation])
    assert change.why == "was not there before"
    assert host.apply([operation]) == [operation.title]
    assert not (host.place / "d").exists()
    assert host.apply([operation]) == []


def test_an_entry_of_a_store_stays_with_what_came_into_it(every_host: Host) -> None:
    """A database of somebody's is not put together from old files and new ones."""
    host = every_host
    top = host.place / "d"
    grow(top, "default/member/wal/0", "lost+found/x")
    own(host)
    stays = listed(host, Listing(path=host.path("list"), folders=(str(top),)))
    assert stays.keys() == {str(top), str(top / "default"), str(top / "lost+found")}
    grow(top, "default/member/wal/1", "member/wal/0", "default.new/x")
    own(host)
    operation = Cleared(path=str(top), stays=stays, whole=True)
    [change] = host.plan([operation])
    assert change.why == "all but what was there before: default, lost+found"
    host.apply([operation])
    assert sorted(path.name for path in top.iterdir()) == ["default", "lost+found"]
    assert (top / "default/member/wal/1").read_text() == "default/member/wal/1"


def test_permissions_are_put_back(host: Host) -> None:
    top = host.place / "d"
    grow(top, "a/file")
    (top / "file-link").symlink_to("a/file")
    top.chmod(0o711)
    (top / "a").chmod(0o2750)
    own(host)
    before = contents(host), stat.S_IMODE(top.stat().st_mode)
    stays = listed(host, Listing(path=host.path("list"), trees=(str(top),)))
    top.chmod(0o700)
    (top / "a").chmod(0o700)
    (top / "a/file").chmod(0o777)
    if os.geteuid() == 0:
        os.chown(top / "a/file", 12, 34)
    host.apply([Cleared(path=str(top), stays=stays)])
    assert (contents(host), stat.S_IMODE(top.stat().st_mode)) == before


def test_a_link_to_a_directory_elsewhere_is_followed(host: Host) -> None:
    """Data that were moved to another disk."""
    grow(host.place / "disk", "lost+found/x")
    (host.place / "d").symlink_to("disk")
    stays = listed(host, Listing(path=host.path("list"), folders=(host.path("d"),)))
    assert stays.keys() == {host.path("d"), host.path("d/lost+found")}
    grow(host.place / "disk", "member/wal")
    host.apply([Cleared(path=host.path("d"), stays=stays, whole=True)])
    assert (host.place / "d").is_symlink()
    assert [path.name for path in (host.place / "disk").iterdir()] == ["lost+found"]


def test_a_list_is_made_once_and_keeps_what_it_shall(host: Host) -> None:
    grow(host.place / "d", "conf")
    (host.place / "d/conf").chmod(0o640)
    operation = Listing(path=host.path("list"), paths=(host.path("d"),), keep=(host.path("d/conf"), host.path("none")))
    [change] = host.plan([operation])
    assert change.why == f"these are there already: {host.path('d')}"
    assert listed(host, operation).keys() == {host.path("d")}
    assert stat.S_IMODE((host.place / "list").stat().st_mode) == 0o600
    grow(host.place / "d", "more")
    assert host.apply([operation]) == []
    copy = Path(f"{host.state}/generations/1-r1/1{host.path('d/conf')}")
    assert (copy.read_text(), stat.S_IMODE(copy.stat().st_mode)) == ("conf", 0o640)


def test_a_directory_that_comes_between_plan_and_list(host: Host) -> None:
    changes = host.plan([Listing(path=host.path("list"), trees=(host.path("d"),))])
    grow(host.place / "d", "theirs")
    with pytest.raises(ChangedUnderneath):
        host.act(changes)


def test_a_list_of_nothing(host: Host) -> None:
    assert listed(host, Listing(path=host.path("list"), trees=(host.path("d"),))) == {}


def test_a_torn_list_is_none() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parse_listing(b"/etc/kubernetes\0d\x00755\0")


def test_trees_are_seen(every_host: Host) -> None:
    host = every_host
    grow(host.place / "d", "a/b", *ODD)
    grow(host.place / "dd", "x")
    own(host)
    secret = File(path=host.path("s"), content=Secret(b"x"), owner=host.owner, group=host.group)
    asked = Queries(trees=(host.path("d"), host.path("none"), host.path("dd")), units=("x.service",), stats=("/",))
    seen = host.remote.observe(Queries.merge((asked, secret.observe())))
    names = {str(Path(path).relative_to(host.place)) for path in seen.trees[host.path("d")]}
    assert names == {"d", "d/a", "d/a/b", *(f"d/{name}" for name in ODD)}
    assert seen.trees[host.path("none")] == {}
    assert seen.trees[host.path("dd")].keys() == {host.path("dd"), host.path("dd/x")}


def test_names_are_told_as_people_can_read_them() -> None:
    assert told([], "/d") == ""
    assert told([f"/d/{name}" for name in "abcdefg"], "/d") == "a, b, c, d, e, f, g"
    assert told([f"/d/{name}" for name in "abcdefgh"], "/d") == "a, b, c, d, e, f and 2 more"
    assert told(["/d/new\nline", "/d/l\udce9n", "/d/ü"], "/d") == r"new\nline, l\xe9n, ü"
