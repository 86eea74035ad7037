"""Waiting: for a port, a file, an HTTP answer. Conditions with a deadline, never a fixed time."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kubeforge.cluster.conditions import Condition, until
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ConnectionFailed, InputError, OperationFailed, Problem
from kubeforge.operations.attributes import check_path
from kubeforge.operations.model import Change, Verb
from kubeforge.tasks.registry import task
from kubeforge.transport.base import Remote

__all__ = ["file", "http", "port"]

_REMEDY = "look at what it waits for on the host, then run again: it goes on from here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Action):
    """Waits until a host is as it shall be. It changes nothing, and plans nothing where nothing is to be waited for.

    Args:
        deadline: seconds.
    """

    deadline: float

    @abstractmethod
    def lacks(self, remote: Remote) -> str | None:
        """Return what is not yet so, in one clause; None: all is."""

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look; what is planned before may change what there is to see."""
        why = "is asked after what is planned before" if run.pending else self.lacks(run.remote)
        return [] if why is None else [Change(title=self.title, verb=Verb.RUN, why=why)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait.

        Raises:
            DeadlineExceeded: it did not come true in time.
        """
        condition = Condition(
            name=self.title, deadline=self.deadline, lacks=lambda: self.lacks(run.remote), remedy=_REMEDY
        )
        until(condition, step=self.title, host=run.remote.host, checkpoint=run.checkpoint)
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class PortWaiting(Waiting):
    """A TCP port as the host sees it.

    Args:
        address: of whom the port is.
        port: its number.
        state: whether somebody shall listen there.
    """

    address: str
    port: int
    state: Literal["open", "closed"]

    @property
    def title(self) -> str:
        """The port, and what it is waited to be."""
        return f"wait for {self.address}:{self.port} {self.state}"

    def lacks(self, remote: Remote) -> str | None:
        """Connect there from the host."""
        try:
            remote.open_tunnel(self.address, self.port).close()
        except ConnectionFailed:
            return None if self.state == "closed" else "nobody listens there"
        return None if self.state == "open" else "somebody listens there"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWaiting(Waiting):
    """A path.

    Args:
        path: absolute.
        contains: a regular expression that is found in the file; empty: whatever it holds.
        state: whether it shall be there.
    """

    path: str
    contains: str
    state: Literal["present", "absent"]

    @property
    def title(self) -> str:
        """The path, and what it is waited to be."""
        return f"wait for {self.path} {self.contains or self.state}"

    def lacks(self, remote: Remote) -> str | None:
        """Look at the path."""
        there = remote.run(("test", "-e", self.path), expect=(0, 1)).status == 0
        if self.state == "absent" or not there:
            return None if there == (self.state == "present") else "is there" if there else "is missing"
        if self.contains and not re.search(
            self.contains, remote.read(self.path).decode(errors="replace"), re.MULTILINE
        ):
            return f"does not hold {self.contains}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWaiting(Waiting):
    """An HTTP answer as the host gets it.

    Args:
        url: whole.
        statuses: those that are good.
        verify: whether the server's certificate is checked.
    """

    url: str
    statuses: tuple[int, ...]
    verify: bool

    @property
    def title(self) -> str:
        """The URL."""
        return f"wait for {self.url}"

    def lacks(self, remote: Remote) -> str | None:
        """Ask by curl."""
        insecure = () if self.verify else ("--insecure",)
        answer = ("curl", "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", *insecure)
        done = remote.run((*answer, "--write-out", "%{http_code}", "--", self.url), expect=range(256))
        if done.status == 127:
            raise OperationFailed(
                "curl is missing",
                host=remote.host,
                step=self.title,
                remedy="install it: package.present: {names: curl}",
            )
        status = done.stdout.decode(errors="replace").strip()
        if done.status:
            return done.stderr.decode(errors="replace").strip() or f"curl ended with status {done.status}"
        return None if status.isdigit() and int(status) in self.statuses else f"answers {status}"


@task("wait.port", aka=("wait_for", "wait_for_connection"))
def port(
    context: Context,
    *,
    port: int,
    address: str = "127.0.0.1",
    state: Literal["open", "closed"] = "open",
    deadline: float = 300,
) -> Iterator[Action]:
    """Wait until somebody listens on a TCP port, or nobody does. It is the host that connects.

    Args:
        port: its number.
        address: of whom; nothing said: the host's own.
        state: open or closed.
        deadline: seconds.
    """
    del context
    yield PortWaiting(port=port, address=address, state=state, deadline=deadline)


@task("wait.file")
def file(
    context: Context,
    *,
    path: str,
    contains: str = "",
    state: Literal["present", "absent"] = "present",
    deadline: float = 300,
) -> Iterator[Action]:
    """Wait until a path is there, or is not, or a file holds something.

    Args:
        path: absolute.
        contains: a regular expression that is found in it.
        state: present or absent.
        deadline: seconds.
    """
    del context
    check_path(path, "wait")
    try:
        re.compile(contains)
    except re.error as error:
        raise InputError([Problem(message=f"{contains!r} is no regular expression: {error}")]) from None
    yield FileWaiting(path=path, contains=contains, state=state, deadline=deadline)


@task("wait.http", aka=("uri",))
def http(
    context: Context, *, url: str, status: int | Sequence[int] = 200, verify: bool = True, deadline: float = 300
) -> Iterator[Action]:
    """Wait until a URL is answered. It is the host that asks, by curl.

    Args:
        url: whole: `https://localhost/healthz`.
        status: the HTTP status that is good, or several.
        verify: whether the server's certificate is checked.
        deadline: seconds.
    """
    del context
    statuses = (status,) if isinstance(status, int) else tuple(status)
    yield HttpWaiting(url=url, statuses=statuses, verify=verify, deadline=deadline)
