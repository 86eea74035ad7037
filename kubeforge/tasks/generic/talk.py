"""What a playbook says and asks while it is planned: assertions, messages, facts; and files brought to this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import KubeforgeError, UnfitHost
from kubeforge.operations.attributes import check_path
from kubeforge.operations.model import Change, Operation, Queries, Verb
from kubeforge.tasks.registry import task

__all__ = ["facts", "fetch", "say", "that"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Action):
    """Says something while the plan is made; changes nothing.

    Args:
        about: unique on its host.
        text: what is said.
    """

    about: str
    text: str

    @property
    def title(self) -> str:
        """Names what it is about."""
        return f"say {self.about}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say it."""
        run.say(self.text)
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch(Action):
    """Brings a file of the host to this machine, where it is not yet the same.

    Args:
        path: on the host.
        dest: on this machine.
    """

    path: str
    dest: Path

    @property
    def title(self) -> str:
        """The path."""
        return f"fetch {self.path}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Compare digests."""
        here = self._here(run.remote.host)
        found = run.remote.observe(Queries(stats=(self.path,), hashes=(self.path,))).hashes.get(self.path)
        if not isinstance(found, str) and not run.pending:
            raise KubeforgeError(f"{self.path} is missing, or no file", host=run.remote.host, step=self.title)
        if found == here and not run.pending:
            return []
        why = "is asked after what is planned before" if run.pending else f"{self.dest} is not the same"
        return [Change(title=self.title, verb=Verb.UPDATE if self.dest.exists() else Verb.CREATE, why=why)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Read it, and write it beside its place, then into it."""
        content, host = run.remote.read(self.path), run.remote.host
        if hashlib.sha256(content).hexdigest() == self._here(host):
            return []
        verb = Verb.UPDATE if self.dest.exists() else Verb.CREATE
        new = self.dest.with_name(f".{self.dest.name}.kubeforge~")
        try:
            self.dest.parent.mkdir(parents=True, exist_ok=True)
            new.touch(mode=0o600)
            new.write_bytes(content)
            new.replace(self.dest)
        except OSError as error:
            if new.is_file():
                new.unlink()
            raise self._unusable(host, error) from error
        return [Change(title=self.title, verb=verb, why="")]

    def _here(self, host: str) -> str | None:
        try:
            return hashlib.sha256(self.dest.read_bytes()).hexdigest() if self.dest.is_file() else None
        except OSError as error:
            raise self._unusable(host, error) from error

    def _unusable(self, host: str, error: OSError) -> KubeforgeError:
        return KubeforgeError(
            f"{self.dest} on this machine: {error.strerror}",
            host=host,
            step=self.title,
            remedy="give another `dest`, or make room there",
        )


@task("check.that", aka=("assert", "fail"))
def that(context: Context, *, that: bool | Sequence[bool], message: str = "") -> Iterator[Operation]:
    """Refuse to go on with a host that is not as the playbook needs it; found while planning, before any change.

    Args:
        that: what must be true: `"{{ facts.memory > 2 * 2**30 }}"`, or a list.
        message: what is wrong where it is not, and what to do.
    """
    found = [that] if isinstance(that, bool) else list(that)
    wrong = [str(number + 1) for number, each in enumerate(found) if not each]
    if wrong:
        which = f" ({', '.join(wrong)} of {len(found)})" if len(found) > 1 else ""
        raise UnfitHost(
            message or f"what the playbook needs is not so{which}", host=context.host.name, step="check.that"
        )
    yield from ()


@task("debug.say", aka=("debug",))
def say(context: Context, *, message: Any) -> Iterator[Action]:
    """Say something while the plan is made: a text, or any value. Secrets are masked.

    Args:
        message: what is said.
    """
    del context
    text = message if isinstance(message, str) else json.dumps(_plain(message), default=str, ensure_ascii=False)
    yield Say(about=text[:60], text=text)


@task("debug.facts", aka=("setup", "gather_facts", "facts"))
def facts(context: Context, *, only: Sequence[str] = ()) -> Iterator[Action]:
    """Say what the host is: all that templates know as `facts`.

    Args:
        only: names of facts; nothing said: all.
    """
    known = _plain(context.mine)
    shown = {name: value for name, value in known.items() if not only or name in only}
    yield Say(about="facts", text=json.dumps(shown, default=str, ensure_ascii=False, sort_keys=True))


def _plain(value: Any) -> Any:
    """Return plain data; keys that are no text become some, sets become lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


@task("file.fetch", aka=("fetch", "slurp"))
def fetch(context: Context, *, src: str, dest: str, flat: bool = False) -> Iterator[Action]:
    """A file of the host, brought to this machine; readable by you alone.

    Args:
        src: on the host; absolute.
        dest: a directory here, relative to the playbook's: the file is DEST/HOST/PATH there.
        flat: `dest` is the file itself.
    """
    check_path(src, "fetch")
    place = (context.folder or Path()) / dest
    yield Fetch(path=src, dest=place if flat else place / context.host.name / src.lstrip("/"))
