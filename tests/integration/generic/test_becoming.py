"""What others than root do: with this machine's own runuser, and on a lab host that is entered by sudo."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.errors import BecomeFailed, OperationFailed
from kubeforge.operations import AsUser, Command, Directory, Edited, File, Symlink
from kubeforge.operations.becoming import LOGIN, as_user
from kubeforge.operations.edits import LineEdit
from kubeforge.operations.model import Operation, Queries, fold
from kubeforge.secret import Secret
from kubeforge.transport.remote import ShellRemote
from tests.integration.generic.conftest import Enter

NOBODY = pwd.getpwnam("nobody")
WHO = "id -un >out; pwd >>out; echo $HOME >>out"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of nobody's; pytest's own lies below one that is closed to others."""
    made = Path(tempfile.mkdtemp(prefix="kubeforge-it-"))
    made.chmod(0o755)
    shutil.chown(made, NOBODY.pw_uid, NOBODY.pw_gid)
    yield made
    shutil.rmtree(made)


def apply(remote: ShellRemote, listed: list[Operation]) -> list[tuple[int, bytes]]:
    seen = remote.observe(Queries.merge(one.observe() for one in listed))
    changes = fold(listed, seen)[0]
    return [(one.status, one.output) for one in (remote.act(changes, seen, run_id="it") if changes else [])]


def test_everything_a_user_makes_is_that_users(here: ShellRemote, folder: Path) -> None:
    operations = [
        Directory(path=f"{folder}/a/b"),
        File(path=f"{folder}/a/b/secret", content=Secret("s3cret\n"), mode=0o600),
        File(path=f"{folder}/a/b/script", content=b"true\n", mode=0o755),
        Edited(path=f"{folder}/lines", edit=LineEdit(line="it's one"), create=True),
        Symlink(path=f"{folder}/link", target="lines"),
        Command(argv=("sh", "-c", WHO), chdir=str(folder), unless=("test", "-e", "out")),
        Command(argv=("cp", "/dev/stdin", f"{folder}/in"), stdin=b"input\n", creates=f"{folder}/in"),
    ]
    listed: list[Operation] = [AsUser(operation=one, user="nobody") for one in operations]
    assert [status for status, _ in apply(here, listed)] == [0] * 7
    assert apply(here, listed) == [], "a second run changes nothing"
    made = list(folder.rglob("*"))
    assert len(made) == 8
    assert {path.lstat().st_uid for path in made} == {NOBODY.pw_uid}
    assert (folder / "a/b/secret").read_text() == "s3cret\n"
    assert ((folder / "a/b/secret").stat().st_mode & 0o777, (folder / "a/b").stat().st_mode & 0o777) == (0o600, 0o755)
    assert (folder / "out").read_text() == f"nobody\n{folder}\n{NOBODY.pw_dir}\n"


def test_a_user_has_that_users_rights_only(here: ShellRemote, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ((status, output),) = apply(here, [AsUser(operation=File(path=f"{tmp_path}/a", content=b"x"), user="nobody")])
    assert status != 0
    assert b"Permission denied" in output
    assert not (tmp_path / "a").exists()


def test_nobody_who_is_not_there(here: ShellRemote, folder: Path) -> None:
    with pytest.raises(BecomeFailed, match="there is no user kfit-no-such to become"):
        apply(here, [AsUser(operation=File(path=f"{folder}/a", content=None), user="kfit-no-such")])
    with pytest.raises(OperationFailed, match="status 1"):
        here.run(as_user("kfit-no-such", ("true",)))


def test_who_logged_in_is_whom_sudo_names(here: ShellRemote, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Operation] = [AsUser(operation=File(path=f"{folder}/a", content=b"x"), user=LOGIN)]
    monkeypatch.setitem(os.environ, "SUDO_USER", "nobody")
    assert apply(here, listed) == [(0, b"")]
    assert (folder / "a").stat().st_uid == NOBODY.pw_uid
    assert here.run(as_user(LOGIN, ("id", "-un"))).stdout == b"nobody\n"
    monkeypatch.delitem(os.environ, "SUDO_USER")
    assert here.run(as_user(LOGIN, ("id", "-un"))).stdout == b"root\n"


CALLS = """
- user.present: {name: kfit-deploy}
- file.directory: {path: /srv/kfit-deploy, owner: kfit-deploy, group: kfit-deploy}
- file.present: {path: /srv/kfit-deploy/a, content: x}
  become_user: kfit-deploy
- file.present: {path: /tmp/kfit-login, content: x}
  become: false
- file.present: {path: /etc/kfit-root, content: x}
- wait.file: {path: /srv/kfit-deploy/a, contains: x, deadline: 10}
  become_user: kfit-deploy
"""


@pytest.mark.lab
@pytest.mark.parametrize("user", ["root", "ops"])
def test_three_users_on_a_host(enter: Enter, user: str) -> None:
    """A user that the same run makes, who logs in, and root."""
    site = enter(user)
    site.apply(CALLS)
    assert site.plan(CALLS).steps == ()
    with site.session("- debug.facts: {}") as session:
        remote = session._remotes.remote("cp1")
        owners = remote.run(("stat", "-c", "%U", "/srv/kfit-deploy/a", "/tmp/kfit-login", "/etc/kfit-root")).stdout
        assert owners.decode().split() == ["kfit-deploy", user, "root"]
        remote.run(("rm", "-f", "/tmp/kfit-login"))
