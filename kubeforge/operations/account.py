"""A person's or service's account, with everything useradd and usermod know. For a mere service user see `User`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from kubeforge.errors import InputError, Problem
from kubeforge.operations.group import NAME, Group
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote
from kubeforge.secret import Secret

__all__ = ["Account", "Password"]

_HASH = re.compile(rb"[!*]?[!-9;-~]*")
_NO_SUCH_USER = 6  # userdel(8): gone already
_OWN_GROUPS_GO = "grep -Eiqs '^[[:space:]]*USERGROUPS_ENAB[[:space:]]+yes' /etc/login.defs && echo yes || :"
"""Prints yes where userdel takes the user's group of the same name along (login.defs(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Operation):
    """A user. What is None is left as it is, and as useradd makes it.

    Args:
        name: as in /etc/passwd.
        uid: its number.
        group: its own group, by name; it must exist. None: the one of its own name, which is made with it if missing.
        groups: others it is in; it leaves those that are not named. None: as it is.
        append: it leaves none.
        home: home directory.
        shell: login shell.
        comment: its person's name.
        system: whether a new one gets a number of the system's range.
        create_home: whether a new one gets a home directory.
        state: there or not.
        remove_home: whether its home goes with it.
    """

    kind: ClassVar[str] = "account"
    open_ended: ClassVar[bool] = True

    name: str
    uid: int | None = None
    group: str | None = None
    groups: tuple[str, ...] | None = None
    append: bool = False
    home: str | None = None
    shell: str | None = None
    comment: str | None = None
    system: bool = False
    create_home: bool = True
    state: Literal["present", "absent"] = "present"
    remove_home: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"account: {self.name!r} is no name of a user")])
        if self.comment is not None and (":" in self.comment or "\n" in self.comment):
            raise InputError([Problem(message=f"account: {self.comment!r} is no comment: no colons, one line")])
        for group in filter(None, (self.group, *(self.groups or ()))):
            if group.isdigit() or "," in group:  # never what `id` then says, so every run would change it
                raise InputError([Problem(message=f"account: {group!r} is no name of a group: name it, one by one")])

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def probe(self) -> str:
        """Prints the line of passwd without the password, the main group, and the other groups, sorted."""
        name = quote(self.name)
        others = f"id -Gn -- {name} | tr ' ' '\\n' | tail -n +2 | sort | tr '\\n' ' '"
        shown = f"printf '%s\\n' \"$r\" | cut -d: -f1,3,5-; id -gn -- {name}; {others}"
        return f"if r=$(getent passwd {name}); then {shown}; fi"

    @property
    def _namesake(self) -> str:
        """Prints the line of the group of the same name: as `Group` asks, which may come next."""
        return Group(name=self.name).probe

    def observe(self) -> Queries:
        """Ask what it is like, and about the group of its name."""
        return Queries(outputs=(self.probe, self._namesake, _OWN_GROUPS_GO))

    def decide(self, seen: Observation) -> Change | None:
        """Make it, change what differs, or remove it."""
        said = seen.outputs.get(self.probe, "")
        if self.state == "absent":
            return self._gone(seen) if said.strip() else None
        if not said.strip():
            return self._made(seen.outputs.get(self._namesake, "").strip())
        rows = [*said.split("\n"), "", ""]
        differing = list(self._differing(rows))
        if not differing:
            return None
        argv = ("usermod", *(word for _, words in differing for word in words), "--", self.name)
        return self._change(Verb.UPDATE, ", ".join(why for why, _ in differing), argv, self._after(rows))

    def _differing(self, said: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield why, and the options of usermod, for each thing that is not as it shall be."""
        _, uid, comment, home, shell = [*said[0].split(":"), "", "", ""][:5]
        group, others = said[1], frozenset(said[2].split())
        rows = (
            ("uid", None if self.uid is None else str(self.uid), uid, "--uid"),
            ("group", self.group, group, "--gid"),
            ("home", self.home, home, "--home"),
            ("shell", self.shell, shell, "--shell"),
            ("comment", self.comment, comment, "--comment"),
        )
        for what, wanted, now, option in rows:
            if wanted is not None and wanted != now:
                yield f"{what} is {now or 'empty'}", (option, wanted)
        if self.groups is not None:
            lacking, too_many = set(self.groups) - others - {group}, others - set(self.groups)
            if lacking or (too_many and not self.append):
                listed = ",".join(sorted({*self.groups, *(others if self.append else ())}))
                yield f"groups are {', '.join(sorted(others)) or 'none'}", ("--groups", listed)

    def _gone(self, seen: Observation) -> Change:
        """Remove it, and with it what userdel(8) takes along: a group of its name that nobody else is in."""
        group = [*seen.outputs[self.probe].split("\n"), ""][1]
        members = [*seen.outputs.get(self._namesake, "").strip().split(":"), "", "", "", ""][3]
        alone = not {*members.split(",")} - {"", self.name}
        along = group == self.name and alone and bool(seen.outputs.get(_OWN_GROUPS_GO, "").strip())
        options = ("--remove",) if self.remove_home else ()
        effect = {self._namesake: ""} if along else {}
        return self._change(Verb.REMOVE, "is there", ("userdel", *options, "--", self.name), "", effect)

    def _made(self, namesake: str) -> Change:
        """Make it; `namesake` is the line of the group of its name, which is then its own and need not be made."""
        options: list[str] = ["--system"] if self.system else []
        options += ["--create-home"] if self.create_home else ["--no-create-home"]
        own = self.name if self.group is None and namesake else self.group
        options += ["--user-group"] if own is None else ["--gid", own]
        options += ["--groups", ",".join(self.groups)] if self.groups else []
        for option, value in (
            ("--uid", self.uid),
            ("--home-dir", self.home),
            ("--shell", self.shell),
            ("--comment", self.comment),
        ):
            options += [] if value is None else [option, str(value)]
        after = self._after([f"{self.name}::::", self.group or self.name, ""])
        effect = {self._namesake: f"{self.name}:x::"} if own is None else {}
        return self._change(Verb.CREATE, "is missing", ("useradd", *options, "--", self.name), after, effect)

    def _after(self, rows: list[str]) -> str:
        """Return what the probe prints once everything is as it shall be."""
        name, uid, comment, home, shell = [*rows[0].split(":"), "", "", ""][:5]
        wanted = (
            uid if self.uid is None else str(self.uid),
            comment if self.comment is None else self.comment,
            home if self.home is None else self.home,
            shell if self.shell is None else self.shell,
        )
        group = rows[1] if self.group is None else self.group
        others = set(rows[2].split()) if self.groups is None or self.append else set()
        listed = sorted({*others, *(self.groups or ())} - {group})
        return f"{':'.join((name, *wanted))}\n{group}\n{' '.join(listed)}"

    def _change(
        self, verb: Verb, why: str, argv: tuple[str, ...], after: str, more: Mapping[str, str] = MappingProxyType({})
    ) -> Change:
        gone = f"{join(('userdel', '--', self.name))} || [ $? -eq {_NO_SUCH_USER} ]"
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            effect=Observation(outputs={self.probe: after, **more}),
            lines=(join(argv),),
            undo=(gone,) if verb is Verb.CREATE else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Password(Operation):
    """The hash of a user's password, as in /etc/shadow.

    Args:
        user: whose.
        hashed: as crypt(5) writes it; `!` and `*` in front: nobody can log in with it.
    """

    kind: ClassVar[str] = "password"

    user: str
    hashed: Secret

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.user) or not _HASH.fullmatch(self.hashed.reveal()):
            raise InputError([Problem(message=f"password of {self.user}: no hash as crypt(5) writes it")])

    @property
    def title(self) -> str:
        """Its kind and user."""
        return f"{self.kind} {self.user}"

    @property
    def probe(self) -> str:
        """Prints the digest of the hash, never the hash."""
        return f"getent shadow {quote(self.user)} | cut -d: -f2 | tr -d '\\n' | sha256sum | cut -c 1-64"

    def observe(self) -> Queries:
        """Ask for the digest of the hash."""
        return Queries(outputs=(self.probe,))

    def decide(self, seen: Observation) -> Change | None:
        """Set it."""
        if seen.outputs.get(self.probe, "").strip() == self.hashed.sha256:
            return None
        return Change(
            title=self.title,
            verb=Verb.UPDATE,
            why="is another one",
            effect=Observation(outputs={self.probe: self.hashed.sha256}),
            payload=Secret(self.user.encode() + b":" + self.hashed.reveal() + b"\n"),
            lines=('chpasswd --encrypted <"$P"',),
        )
