"""Users, groups, the keys they log in with, and what they may do by sudo."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations import Absent, Account, Directory, Edited, File, Group, Password
from kubeforge.operations.edits import LineEdit
from kubeforge.operations.model import Operation, Queries
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import text_of
from kubeforge.tasks.registry import task

__all__ = ["absent", "authorized_key", "group_absent", "group_present", "present", "sudoers"]

_PASSWD: Final = "/etc/passwd"  # noqa: S105 - a path
_GROUPS: Final = "/etc/group"
_NOWHERE: Final = "/nonexistent"  # a path that Debian's policy promises nobody ever makes
_KEY: Final = re.compile(r"(ssh-\S+|ecdsa-\S+|sk-\S+) ([A-Za-z0-9+/=]+)( .*)?")
_SUDOERS_NAME: Final = re.compile(
    r"[A-Za-z0-9_-]+"
)  # sudoers(5): files with a dot or a tilde in their name are skipped


@task("user.present", aka=("user",))
def present(
    context: Context,
    *,
    name: str,
    uid: int | None = None,
    group: str | None = None,
    groups: Sequence[str] | None = None,
    append: bool = False,
    home: str | None = None,
    shell: str | None = None,
    comment: str | None = None,
    password: str | Secret | None = None,
    system: bool = False,
    create_home: bool = True,
) -> Iterator[Operation]:
    """A user. What is not said stays as it is, and is made as useradd makes it.

    Args:
        name: to log in with.
        uid: its number.
        group: its own group, by name, which must exist; nothing said: the one of its own name, made with it if missing.
        groups: others it is in; it leaves those that are not named.
        append: it leaves none.
        home: home directory; one that is changed is not moved.
        shell: login shell.
        comment: its person's name.
        password: the hash of its password, as `mkpasswd` or `openssl passwd -6` prints it; best a secret.
        system: a new one gets a number of the system's range.
        create_home: a new one gets a home directory.
    """
    del context
    yield Account(
        name=name,
        uid=uid,
        group=group,
        groups=None if groups is None else tuple(groups),
        append=append,
        home=home,
        shell=shell,
        comment=comment,
        system=system,
        create_home=create_home,
    )
    if password is not None:
        yield Password(user=name, hashed=password if isinstance(password, Secret) else Secret(password))


@task("user.absent")
def absent(context: Context, *, name: str, remove_home: bool = False) -> Iterator[Operation]:
    """A user that is not there.

    Args:
        name: to log in with.
        remove_home: its home directory and mail go, too; nothing keeps them.
    """
    del context
    yield Account(name=name, state="absent", remove_home=remove_home)


@task("group.present", aka=("group",))
def group_present(context: Context, *, name: str, gid: int | None = None, system: bool = False) -> Iterator[Operation]:
    """A group of users.

    Args:
        name: its name.
        gid: its number; nothing said: any.
        system: a new one gets a number of the system's range.
    """
    del context
    yield Group(name=name, gid=gid, system=system)


@task("group.absent")
def group_absent(context: Context, *, name: str) -> Iterator[Operation]:
    """A group that is not there.

    Args:
        name: its name.
    """
    del context
    yield Group(name=name, state="absent")


def _accounts(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(reads=(_PASSWD, _GROUPS))


@task("user.authorized_key", aka=("authorized_key",), reads=_accounts)
def authorized_key(
    context: Context,
    *,
    user: str,
    key: str,
    options: str = "",
    home: str | None = None,
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A public key that a user logs in with; the same key with other options or comment is replaced.

    Args:
        user: who; may be made before in the same playbook.
        key: as in its .pub file.
        options: as authorized_keys takes them: `no-pty,from="192.0.2.0/24"`.
        home: home directory; nothing said: as /etc/passwd says, /home/USER where the user is not there yet.
        state: present or absent.
    """
    text = text_of(key, "a public key").strip()
    found = _KEY.fullmatch(text)
    if found is None:
        hint = "; one key a task" if "\n" in text else "; what stands before it goes into `options`"
        known = hint if _KEY.search(text) else ""
        raise InputError([Problem(message=f"authorized key of {user}: no public key as in a .pub file{known}")])
    there, group = _known(context, user)
    if there == _NOWHERE and not home:
        raise UnfitHost(
            f"the home directory of {user} is {_NOWHERE}: nobody could log in with a key",
            host=context.host.name,
            step="user.authorized_key",
            remedy="give it another (user.present: {home: …}), or say `home`",
        )
    folder = posixpath.join(home or there or f"/home/{user}", ".ssh")
    line = f"{options} {found[0]}" if options else found[0]
    if state == "present":
        yield Directory(path=folder, owner=user, group=group, mode=0o700)
    yield Edited(
        path=f"{folder}/authorized_keys",
        edit=LineEdit(line=line, match=f"(^|\\s){re.escape(found[1])} {re.escape(found[2])}(\\s|$)", state=state),
        create=True,
        owner=user,
        group=group,
        mode=0o600,
    )


def _known(context: Context, user: str) -> tuple[str, str]:
    """Return a user's home and group by what the host's files say; where they say nothing, a group of its name."""
    contents = context.seen[context.host.name].contents
    rows = [row.split(":") for row in contents.get(_PASSWD, b"").decode(errors="replace").splitlines()]
    mine = next((row for row in rows if row[0] == user and len(row) >= 6), None)
    if mine is None:
        return ("/root" if user == "root" else "", user)
    groups = [row.split(":") for row in contents.get(_GROUPS, b"").decode(errors="replace").splitlines()]
    return mine[5], next((row[0] for row in groups if len(row) >= 3 and row[2] == mine[3]), mine[3])


@task("user.sudoers", aka=("sudoers",))
def sudoers(
    context: Context, *, name: str, content: str = "", state: Literal["present", "absent"] = "present"
) -> Iterator[Operation]:
    """A file in /etc/sudoers.d. visudo checks it on the host before it is put in place, so nobody is locked out.

    Args:
        name: of the file: letters, digits, _ and -.
        content: its lines: `ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl restart app`.
        state: present or absent.
    """
    del context
    if not _SUDOERS_NAME.fullmatch(name):
        raise InputError(
            [Problem(message=f"sudoers: {name!r} would be skipped by sudo: letters, digits, _ and - only")]
        )
    path = f"/etc/sudoers.d/{name}"
    if state == "absent":
        yield Absent(path=path, reveal=True)
    else:
        text = f"{content.rstrip()}\n".encode()
        yield File(path=path, content=text, mode=0o440, validate=("visudo", "-cqf", "%s"))
