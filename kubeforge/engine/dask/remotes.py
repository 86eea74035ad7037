"""Hosts that workers talk to: what has plain values in and out goes over the executor, what has not goes from here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from kubeforge.engine.dask.executor import DaskExecutor
from kubeforge.engine.dask.near import LEAVE, Call, Refusal, serve
from kubeforge.engine.dask.seal import Seal
from kubeforge.engine.remotes import Remotes
from kubeforge.errors import ConnectionLost, KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Change, LocalContent, Observation, Queries, Result
from kubeforge.secret import Secret
from kubeforge.transport.base import ByteSocket, Completed, Remote

__all__ = ["SITE_VARIABLE", "NearRemotes"]

SITE_VARIABLE: Final = "kubeforge_site"
"""A host's variable: the resource of the workers near it; without it any worker will do."""

_SHORT: Final = 300.0  # seconds for what has no deadline of its own, waiting for a worker included
_QUEUE: Final = 600.0  # seconds that an act may wait for a worker


class NearRemotes:
    """Hosts reached by workers.

    Args:
        inventory: everybody; how a host is entered goes to its worker, sealed.
        own: hosts as reached from here: for tunnels, streams, and big files.
        executor: has the workers.
        seal: packs what crosses; None: with this process's key.

    Raises:
        InputError: there is no key.
    """

    def __init__(self, inventory: Inventory, own: Remotes, executor: DaskExecutor, seal: Seal | None = None) -> None:
        self._inventory = inventory
        self._own = own
        self._executor = executor
        self._seal = seal or Seal.of_environment()
        self._session = secrets.token_hex(8)
        self._is_open = True

    def remote(self, host: str) -> Remote:
        """Return a host's Remote; it is connected by its worker when first used."""
        return _NearHost(self, self._inventory.hosts[host])

    def open_stream(self, host: str, command: str) -> ByteSocket:
        """Start a command on a host, from here."""
        return self._own.open_stream(host, command)

    def release(self, host: str) -> None:
        """Let go of a host, here and at its worker."""
        self._own.release(host)
        with suppress(KubeforgeError):  # then the worker closes it by itself
            self.ask(self._inventory.hosts[host], LEAVE, (), {}, within=_SHORT)

    def close(self) -> None:
        """Close all connections, here and at the workers."""
        self._own.close()
        if self._is_open:
            self._is_open = False
            with suppress(OSError, KubeforgeError):  # a worker that is gone, or cannot be told, forgets us by itself
                self._executor.everywhere(serve, self._seal.close(Call(session=self._session, verb=LEAVE)))
            with suppress(OSError):
                self._executor.close()

    def near(self, host: str) -> Remote:
        """Return the host as reached from here."""
        return self._own.remote(host)

    def ask(
        self, host: Host, verb: str, arguments: tuple[Any, ...], options: Mapping[str, Any], *, within: float
    ) -> Any:
        """Have a worker make one exchange with a host; returns what the method returns.

        Raises:
            KubeforgeError: as the method does; ConnectionLost also where the worker is gone.
        """
        site = host.vars.get(SITE_VARIABLE)
        entered = replace(host, groups=frozenset(), vars={}, file=None, line=None)
        call = Call(session=self._session, verb=verb, host=entered, arguments=arguments, options=dict(options))
        try:
            answer = self._executor.one(
                serve, self._seal.close(call), about=host.name, near=str(site) if site else None, within=within
            )
        except ConnectionLost as error:
            error.host = error.host or host.name
            raise
        outcome = self._seal.open(answer)
        if isinstance(outcome, Refusal):
            raise outcome.raised()
        return outcome


class _NearHost:
    """One host; see transport.base.Remote."""

    def __init__(self, remotes: NearRemotes, host: Host) -> None:
        self._remotes = remotes
        self._host = host

    @property
    def host(self) -> str:
        """Inventory name."""
        return self._host.name

    def observe(self, queries: Queries) -> Observation:
        """Answer `queries`."""
        answer: Observation = self._ask("observe", queries) if queries else Observation()
        return answer

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        """Carry out `changes`; big files are on the controller, so what holds one goes from there."""
        if any(isinstance(change.payload, LocalContent) for change in changes):
            return self._remotes.near(self.host).act(changes, seen, run_id=run_id)
        within = _QUEUE + sum(change.deadline + 15 for change in changes)
        results: list[Result] = self._ask("act", tuple(changes), seen, within=within, run_id=run_id)
        return results

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,
        expect: Sequence[int] = (0,),
    ) -> Completed:
        """Run one command."""
        done: Completed = self._ask(
            "run", tuple(argv), within=_QUEUE + deadline, stdin=stdin, deadline=deadline, expect=expect
        )
        return done

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        content: bytes = self._ask("read", path)
        return content

    def write(self, path: str, content: bytes | Secret, *, mode: int = 0o600) -> None:
        """Write a file."""
        self._ask("write", path, content, mode=mode)

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Open a TCP stream, from here."""
        return self._remotes.near(self.host).open_tunnel(host, port)

    def close(self) -> None:
        """Close the connection."""
        self._remotes.release(self.host)

    def _ask(self, verb: str, *arguments: Any, within: float = _SHORT, **options: Any) -> Any:
        return self._remotes.ask(self._host, verb, arguments, options, within=within)
