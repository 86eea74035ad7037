"""Operations done by somebody who is not root: what is asked, decided, owned; and the lines that are run."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from kubeforge.errors import BecomeFailed
from kubeforge.operations import AsUser, Command, Directory, File
from kubeforge.operations.becoming import LOGIN, as_user, done_by
from kubeforge.operations.model import Change, Entry, Observation, Operation, Verb

DEPLOY = "deploy\nstaff\n"


def decided(
    operation: Operation, user: str = "deploy", said: Any = (), who: str = DEPLOY, **seen: Any
) -> Change | None:
    wrapped = AsUser(operation=operation, user=user, said=frozenset(said))
    return wrapped.decide(Observation(outputs={wrapped.probe: who}, **seen))


def test_what_a_user_makes_is_that_users() -> None:
    change = decided(File(path="/srv/a", content=b"x"), paths={"/srv/a": None}, hashes={"/srv/a": None})
    assert change is not None
    assert (change.title, change.why) == ("file /srv/a", "is missing (as deploy)")
    assert change.effect.paths["/srv/a"] == Entry(stat.S_IFREG | 0o644, "deploy", "staff")
    assert change.lines[:3] == ('chown -- deploy "$P"', 'exec 3<"$P"', "P=/dev/fd/3")
    assert change.lines[3].startswith("runuser -u deploy -- sh -c ")
    assert "umask 022\ncd /\ntrap " in change.lines[3]
    there = {"/srv/a": Entry(stat.S_IFREG | 0o644, "deploy", "staff")}
    assert decided(File(path="/srv/a", content=None), paths=there) is None


def test_parents_that_are_made_are_that_users_too() -> None:
    seen = {"/srv": Entry(stat.S_IFDIR | 0o755), "/srv/a": None, "/srv/a/b": None}
    change = decided(Directory(path="/srv/a/b"), paths=seen)
    assert change is not None
    assert {path: entry.owner for path, entry in change.effect.paths.items() if isinstance(entry, Entry)} == {
        "/srv/a": "deploy",
        "/srv/a/b": "deploy",
    }


def test_root_owns_nothing_that_others_make() -> None:
    with pytest.raises(BecomeFailed, match="deploy cannot give anything to root, whom owner name"):
        decided(File(path="/srv/a", content=b""), said={"owner"}, paths={"/srv/a": None}, hashes={"/srv/a": None})
    group = decided(File(path="/srv/a", content=None, group="www"), said={"group"}, paths={"/srv/a": None})
    assert group is not None
    assert group.effect.paths["/srv/a"] == Entry(stat.S_IFREG | 0o644, "deploy", "www")


def test_a_user_who_is_not_there() -> None:
    operation = File(path="/srv/a", content=None)
    with pytest.raises(BecomeFailed, match="there is no user deploy to become") as caught:
        decided(operation, who="", paths={"/srv/a": None})
    assert "user.present" in str(caught.value.remedy)
    made = decided(operation, who="", paths={"/srv/a": None}, changed=frozenset({"account deploy"}))
    assert made is not None
    assert made.effect.paths["/srv/a"] == Entry(stat.S_IFREG | 0o644, "deploy", "deploy")


def test_tests_are_run_by_the_user() -> None:
    command = Command(argv=("touch", "x"), unless=("test", "-e", "x"))
    wrapped = AsUser(operation=command, user="deploy")
    (test,) = wrapped.observe().tests
    assert test == as_user("deploy", ("test", "-e", "x"))
    who = {wrapped.probe: DEPLOY}
    assert wrapped.decide(Observation(outputs=who, tests={test: 0})) is None
    change = wrapped.decide(Observation(outputs=who, tests={test: 1}))
    assert change is not None
    assert change.guard.tests == (test,)
    assert change.effect.tests == {test: 0}
    assert len(change.lines) == 1


def test_who_logged_in_may_be_root() -> None:
    operation = File(path="/srv/a", content=b"")
    seen: Any = {"paths": {"/srv/a": None}, "hashes": {"/srv/a": None}}
    plain = operation.decide(Observation(**seen))
    assert decided(operation, user=LOGIN, who="root\nroot\n", **seen) == plain
    ops = decided(operation, user=LOGIN, who="ops\nops\n", **seen)
    assert ops is not None
    assert ops.lines[0] == 'chown -- ops "$P"'


def test_who_logged_in_is_told_by_sudo() -> None:
    assert as_user("", ("id",)) == ("id",)
    assert as_user(LOGIN, ("id", "-un"))[3:] == ("sh", "id", "-un")
    assert 'runuser -u "${SUDO_USER:-root}" -- ' in as_user(LOGIN, ("id",))[2]
    change = Change(title="x", verb=Verb.RUN, why="", payload=b"y", lines=('cat "$P"',))
    assert done_by(LOGIN, change).lines[0] == 'chown -- "${SUDO_USER:-root}" "$P"'


def test_titles_are_the_operations_own() -> None:
    assert AsUser(operation=File(path="/srv/a", content=b""), user="deploy").title == "file /srv/a"
