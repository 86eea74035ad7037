"""What the kinds' shell lines do, with this machine's own sh, tar, git and getent; everything stays in a folder."""

from __future__ import annotations

import hashlib
import pwd
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeforge.errors import Unreadable
from kubeforge.operations import (
    Account,
    Checkout,
    Command,
    Download,
    Edited,
    File,
    Group,
    Password,
    Setting,
    Unpacked,
)
from kubeforge.operations.edits import BlockEdit, LineEdit
from kubeforge.operations.model import Operation, Queries, fold
from kubeforge.secret import Secret
from kubeforge.transport.remote import ShellRemote


def apply(remote: ShellRemote, listed: Sequence[Operation], *, ok: bool = True) -> list[str]:
    """Carry out what is due; return the titles."""
    seen = remote.observe(Queries.merge(one.observe() for one in listed))
    results = remote.act(fold(listed, seen)[0], seen, run_id="it")
    if ok:
        assert [(one.title, one.output) for one in results if one.status] == []
    return [one.title for one in results]


def twice(remote: ShellRemote, *listed: Operation) -> list[str]:
    """Carry out what is due, see that nothing is due then, and return what was."""
    done = apply(remote, listed)
    assert apply(remote, listed) == [], "a second run changes nothing"
    return done


def test_edits_add_up_and_keep_owner_and_mode(here: ShellRemote, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("a\nb\n")
    file.chmod(0o640)
    lines = [Edited(path=str(file), edit=LineEdit(line=line)) for line in ("x y", "b", "it's")]
    block = Edited(path=str(file), edit=BlockEdit(name="it", block="1\n2", after="^a"))
    new = Edited(path=str(tmp_path / "new"), edit=LineEdit(line="n"), create=True, mode=0o600)
    assert len(twice(here, *lines, block, new)) == 4
    assert file.read_text() == "a\n# >>> kubeforge: it\n1\n2\n# <<< kubeforge: it\nb\nx y\nit's\n"
    assert (file.stat().st_mode & 0o777, (tmp_path / "new").stat().st_mode & 0o777) == (0o640, 0o600)


def test_a_file_that_its_checker_refuses_is_not_put_in_place(here: ShellRemote, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("good\n")
    check = ("grep", "-q", "good", "%s")
    assert apply(here, [File(path=str(file), content=b"bad\n", validate=check)], ok=False) == [f"file {file}"]
    assert file.read_text() == "good\n"
    twice(here, File(path=str(file), content=b"still good\n", validate=check))


def test_nothing_half_written_stays_beside_a_file(here: ShellRemote, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("old\n")
    failing = File(path=str(file), content=b"new\n", owner="kubeforge-none")
    assert apply(here, [failing], ok=False) == [f"file {file}"]
    assert file.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "kubeforge"]


def test_an_archive_is_unpacked_once(here: ShellRemote, tmp_path: Path) -> None:
    (tmp_path / "app-1").mkdir()
    (tmp_path / "app-1" / "run").write_text("1\n")
    with tarfile.open(tmp_path / "app.tgz", "w:gz") as tar:
        tar.add(tmp_path / "app-1", "app-1")
    (tmp_path / "dest").mkdir()
    content = (tmp_path / "app.tgz").read_bytes()
    sent = Unpacked(path=str(tmp_path / "dest"), archive=content, name="app", strip=1, owner="nobody")
    there = Unpacked(path=str(tmp_path / "dest"), archive=str(tmp_path / "app.tgz"), name="again")
    assert len(twice(here, sent, there)) == 2
    assert (tmp_path / "dest" / "run").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert (tmp_path / "dest" / "app-1" / "run").read_text() == "1\n"


def test_a_download_needs_its_digest(here: ShellRemote, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.write_bytes(b"bytes")
    digest = hashlib.sha256(b"bytes").hexdigest()
    if subprocess.run(["sh", "-c", "command -v curl"], capture_output=True, check=False).returncode:
        pytest.skip("wget knows no file://")
    wrong = Download(path=str(dest), url=source.as_uri(), sha256="0" * 64)
    assert apply(here, [wrong], ok=False) == [f"download {dest}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kubeforge", "source"]
    twice(here, Download(path=str(dest), url=source.as_uri(), sha256=digest, mode=0o755, owner="nobody"))
    assert (dest.read_bytes(), dest.stat().st_mode & 0o777) == (b"bytes", 0o755)


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.test", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_working_copy_follows_its_branch(here: ShellRemote, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "a b" / "dest"
    source.mkdir()
    git(source, "init", "-q")
    (source / "x").write_text("1\n")
    git(source, "add", "x")
    git(source, "commit", "-qm", "1")
    first = git(source, "rev-parse", "HEAD")
    git(source, "tag", "-a", "v1", "-m", "v1")
    following = Checkout(path=str(dest), url=source.as_uri(), version="main")
    assert twice(here, following) == [f"checkout {dest}"]
    (source / "x").write_text("2\n")
    git(source, "commit", "-qam", "2")
    twice(here, following)
    assert (dest / "x").read_text() == "2\n"
    for version in ("v1", first):
        twice(here, Checkout(path=str(dest), url=source.as_uri(), version=version))
        assert (dest / "x").read_text() == "1\n"
        twice(here, following)
    (dest / "x").write_text("mine\n")
    with pytest.raises(Unreadable, match="were changed"):
        apply(here, [Checkout(path=str(dest), url=source.as_uri(), version="v1")])
    twice(here, Checkout(path=str(dest), url=source.as_uri(), version="v1", force=True))
    assert (dest / "x").read_text() == "1\n"


def test_commands_of_others_elsewhere(here: ShellRemote, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[:2]:
        above.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    command = Command(
        argv=("sh", "-c", 'cat >made; echo "$A $HOME $(id -un)" >>made; exit 3'),
        unless=("test", "-s", "made"),
        stdin=Secret("s3cret\n"),
        user="nobody",
        chdir=str(work),
        env={"A": "b  c"},
        ok=(3,),
        name="it",
    )
    assert twice(here, command) == ["command it"]
    assert (work / "made").read_text() == f"s3cret\nb  c {pwd.getpwnam('nobody').pw_dir} nobody\n"
    assert apply(here, [Command(argv=("sh", "-c", "exit 4"), ok=(3,), name="it")], ok=False) == ["command it"]


def test_what_probes_say_of_this_machine(here: ShellRemote, tmp_path: Path) -> None:
    root = pwd.getpwnam("root")
    asked: list[Operation] = [
        Account(name="root", uid=0, home=root.pw_dir, shell=root.pw_shell, group="root"),
        Account(name="kubeforge-none", state="absent"),
        Group(name="root", gid=0),
        Group(name="kubeforge-none", state="absent"),
        Setting(name="it", probe="cat /proc/sys/kernel/ostype", wanted="Linux", lines=("false",)),
    ]
    assert apply(here, asked) == []
    seen = here.observe(Queries.merge(one.observe() for one in asked))
    missing = Account(name="kubeforge-none")
    assert missing.decide(here.observe(missing.observe())) is not None
    other = Account(name="root", shell="/bin/other").decide(seen)
    assert other is not None
    assert other.why == f"shell is {root.pw_shell}"
    password = Password(user="root", hashed=Secret("$6$other"))
    assert len(here.observe(password.observe()).outputs[password.probe].strip()) == 64
