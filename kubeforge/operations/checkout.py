"""A working copy of a git repository at one revision."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kubeforge.errors import InputError, Problem, Unreadable
from kubeforge.operations.attributes import check_path
from kubeforge.operations.becoming import as_user
from kubeforge.operations.command import check_env, exports
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote

__all__ = ["Checkout"]

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_ALL = "--depth 2147483647 origin '+refs/heads/*:refs/remotes/origin/*'"  # git's word for: all of it
_NO_GIT = "no git"
_ENV: Mapping[str, str] = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(Operation):
    """A working copy. What somebody changed in it is an error, unless `force` throws it away.

    Files that git does not keep stay, and one that is in the way of a new file is an error of git's.

    Args:
        path: absolute; made where it is missing.
        url: of the repository; shown in plans, so it holds no password.
        version: branch, tag or whole commit; a branch or tag is asked of the repository at every plan.
        force: throw changes of the working copy away, and overwrite files that are in the way.
        user: who runs git; empty: root.
        env: environment variables for git.
        deadline: seconds.
    """

    kind: ClassVar[str] = "checkout"
    open_ended: ClassVar[bool] = True

    path: str
    url: str
    version: str = "HEAD"
    force: bool = False
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 600.0

    def __post_init__(self) -> None:
        check_path(self.path, self.kind)
        check_env(self.env, self.kind)
        for what, word in (("URL", self.url), ("version", self.version)):
            if not word or word.startswith("-") or any(letter.isspace() for letter in word):
                raise InputError([Problem(message=f"checkout: {word!r} is no {what}")])

    @property
    def title(self) -> str:
        """Its kind and path."""
        return f"{self.kind} {self.path}"

    @property
    def probe(self) -> str:
        """Prints four lines: the commit, the repository's URL, `clean`, `changed` or `other`, the wanted commit.

        Where git is missing it says so in place of the last.
        """
        there, git = self._git("-C", self.path), quote(f"{self.path}/.git")
        if _COMMIT.fullmatch(self.version):
            wanted = f"echo {self.version}"
        else:
            names = (f"refs/tags/{self.version}^{{}}", f"refs/tags/{self.version}", f"refs/heads/{self.version}")
            asked = (self.version,) if self.version == "HEAD" else names
            listed = f"{self._git('ls-remote', '--', self.url)} {join(asked)}"
            order = "" if self.version == "HEAD" else " -r"  # of a clone HEAD, then refs/remotes/origin/HEAD
            wanted = f'{listed} | sort -k2{order} | {{ read -r c r; echo "$c"; }}'  # a tag's commit (^{{}}) comes first
        return "\n".join(
            (
                *exports(self._env),
                f"if ! command -v git >/dev/null; then printf '\\n\\nclean\\n{_NO_GIT}\\n'; exit; fi",
                f"{there} rev-parse -q --verify 'HEAD^{{commit}}' || echo",
                f"{there} config remote.origin.url || echo",
                f'if [ -n "$({there} status --porcelain --untracked-files=no)" ]; then echo changed',
                f'elif [ ! -e {git} ] && [ -n "$(ls -A -- {quote(self.path)})" ]; then echo other; else echo clean; fi',
                wanted,
            )
        )

    def observe(self) -> Queries:
        """Ask git here and the repository."""
        return Queries(outputs=(self.probe,))

    def decide(self, seen: Observation) -> Change | None:
        """Clone it, or move it to the revision."""
        now, url, state, wanted = [*seen.outputs.get(self.probe, "").split("\n"), "", "", "", ""][:4]
        if wanted == _NO_GIT:
            exact = self.version if _COMMIT.fullmatch(self.version) else ""
            return self._change(Verb.CREATE, "is missing, and so is git, without which no branch is known", "", exact)
        if not _COMMIT.fullmatch(wanted):
            raise Unreadable(
                f"{self.url} has no {self.version}, or does not answer",
                step=self.title,
                remedy=f"try it on the host: git ls-remote {self.url}; is git installed there?",
            )
        if now == wanted and url == self.url and (state == "clean" or not self.force):
            return None
        if state == "other" and not self.force:
            raise Unreadable(
                f"{self.path} holds other files and is no working copy",
                step=self.title,
                remedy="name another path, or say `force: true`: files of the same names are then overwritten",
            )
        if now and state != "clean" and not self.force:
            raise Unreadable(
                "files in the working copy were changed", step=self.title, remedy="look at them, or say `force: true`"
            )
        why = f"is at {now[:12]}, not {wanted[:12]}" if now and now != wanted else "comes from elsewhere or is changed"
        return self._change(Verb.UPDATE if now else Verb.CREATE, why if now else "is missing", now, wanted)

    def _change(self, verb: Verb, why: str, now: str, wanted: str) -> Change:
        after = wanted or "0" * 40  # not known yet
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            effect=Observation(outputs={self.probe: f"{after}\n{self.url}\nclean\n{after}\n"}),
            lines=self._lines(wanted or "FETCH_HEAD", first=not now),
            undo=(f"{self._git('-C', self.path)} checkout -q --detach {now}",) if now else (),
            deadline=self.deadline,
        )

    def _lines(self, wanted: str, *, first: bool) -> tuple[str, ...]:
        there = self._git("-C", self.path)
        fetched = "HEAD" if self.version == "HEAD" else self.version
        owned: tuple[str, ...] = (f"mkdir -p -- {quote(self.path)}",)
        if self.user:
            owned = (*owned, f"chown -- {quote(self.user)}: {quote(self.path)}")
        shallow = quote(f"{self.path}/.git/shallow")  # one that somebody fetched whole stays whole
        depth = "d=--depth=1" if first else f"d=--depth=1; [ -e {shallow} ] || d="
        begun = (*owned, f"{self._git('init', '-q')} {quote(self.path)}") if first else ()
        return (
            *exports(self._env),
            *begun,
            f"{there} config remote.origin.url {quote(self.url)}",
            depth,
            f"{there} fetch -q $d origin {quote(fetched)} || {there} fetch -q --tags {_ALL}",
            f"{there} checkout -q {'--force ' if first or self.force else ''}--detach {wanted}",
        )

    @property
    def _env(self) -> dict[str, str]:
        """A working copy above is another one: git looks for it no higher than the path."""
        return {**_ENV, "GIT_CEILING_DIRECTORIES": posixpath.dirname(self.path), **self.env}

    def _git(self, *words: str) -> str:
        # Root may look at a working copy of somebody else's: git(1) refuses that where it is not said.
        return join(as_user(self.user, ("git", "-c", f"safe.directory={self.path}", *words)))
