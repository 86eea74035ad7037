"""An executor on dask.distributed: work goes to its workers, as plain values.

Nothing is retried here, and a batch is safe where dask itself sends one twice (it does when a worker dies): the guard
on the host compares what the plan saw, and with commands that nothing else tells of, the host's note (docs/adr/0090).
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from kubeforge.errors import ConnectionFailed, ConnectionLost, InputError, Problem

__all__ = ["Client", "DaskExecutor", "Future"]

J = TypeVar("J")
R = TypeVar("R")

_SCHEMES: Final = {"dask": "tcp", "dask+tls": "tls"}
_CONNECT_WITHIN: Final = 30  # seconds
_AT_ONCE: Final = 4
"""Jobs handed over per thread of the workers: none of them waits for us."""


class Future(Protocol):
    """The part of distributed.Future that is used."""

    def result(self, timeout: float | None = None) -> Any:
        """Return the outcome, or raise what the work raised."""

    def add_done_callback(self, fn: Callable[[Any], Any], /) -> None:
        """Call `fn` with the future once it is done."""

    def cancel(self) -> Any:
        """Let it be forgotten."""


class Client(Protocol):
    """The part of distributed.Client that is used."""

    def submit(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function on a worker."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function on every worker, at once."""

    def nthreads(self) -> Any:
        """Return worker address -> threads."""

    def close(self) -> Any:
        """Leave the scheduler."""


class DaskExecutor:
    """Workers of a running dask cluster.

    Work and jobs must be plain values: a function of a module, and what pickle takes.

    Args:
        client: connected to its scheduler.

    Raises:
        ConnectionFailed: the cluster has no worker.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._workers = dict(client.nthreads())
        if not self._workers:
            raise ConnectionFailed(
                "the dask cluster has no worker", step="executor", remedy="start one: dask worker HOST:PORT"
            )

    @staticmethod
    def of(address: str) -> DaskExecutor:
        """Return the executor of a scheduler.

        Args:
            address: `dask://HOST:PORT`; `dask+tls://HOST:PORT` with certificates from dask's own configuration.

        Raises:
            InputError: it is no such address, or the extra is not installed.
            ConnectionFailed: no scheduler answers there, or it has no worker.
        """
        parts = urlsplit(address)
        if parts.scheme not in _SCHEMES or not parts.netloc:
            message = f"--executor {address} is none: dask://HOST:PORT, or dask+tls://HOST:PORT"
            raise InputError([Problem(message=message)])
        try:
            from distributed import Client as DaskClient  # noqa: PLC0415 - an extra, and a second of imports
        except ImportError:
            raise InputError(
                [Problem(message="dask.distributed is not installed here")], remedy="pip install 'kubeforge[dask]'"
            ) from None
        try:
            client = DaskClient(  # type: ignore[no-untyped-call]
                f"{_SCHEMES[parts.scheme]}://{parts.netloc}", timeout=_CONNECT_WITHIN, set_as_default=False
            )
        except OSError as error:  # TimeoutError is one
            raise ConnectionFailed(
                f"no dask scheduler answers at {parts.netloc}: {error}",
                step="executor",
                remedy="see that it runs and that its port is open: dask scheduler",
            ) from None
        return DaskExecutor(client)

    def each(
        self, work: Callable[[J], R], jobs: Sequence[J], *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[J, R]]:
        """See Executor.each.

        Raises:
            Exception: whatever `work` raised.
            ConnectionLost: a worker died with its work.
        """
        ended: queue.SimpleQueue[tuple[J, Any]] = queue.SimpleQueue()
        waiting = iter(jobs)
        running = 0
        while True:
            while running < _AT_ONCE * sum(self._workers.values()) and not stop():
                job = next(waiting, _NONE)
                if isinstance(job, _None):
                    break
                self._submit(work, job).add_done_callback(partial(_put, ended, job))
                running += 1
            if not running:
                return
            job, future = ended.get()
            running -= 1
            yield job, self._result(future, None)

    def one(self, work: Callable[[J], R], job: J, *, about: str, near: str | None = None, within: float) -> R:
        """Do one job and wait for it.

        Args:
            work: a function of a module.
            job: a plain value.
            about: jobs about the same go to the same worker as long as it lives: it holds the connection.
            near: resource of the workers that may do it (`dask worker --resources NAME=…`); None: any.
            within: seconds, waiting for a free worker included.

        Raises:
            ConnectionLost: no answer in time, or the worker died.
            Exception: whatever `work` raised.
        """
        return self._result(self._submit(work, job, about, near), within)  # type: ignore[no-any-return]

    def everywhere(self, work: Callable[[J], R], job: J) -> None:
        """Do a job on every worker."""
        self._client.run(work, job)

    def close(self) -> None:
        """Leave the scheduler; its workers stay."""
        self._client.close()

    def _submit(self, work: Callable[..., Any], job: object, about: str = "", near: str | None = None) -> Future:
        placed: dict[str, Any] = {}
        if near is not None:
            placed["resources"] = {near: 1}
        elif about:
            addresses = sorted(self._workers)
            placed["workers"] = [addresses[sum(about.encode()) % len(addresses)]]
            placed["allow_other_workers"] = True
        # pure=False: two equal jobs are two; dask would give the first one's answer to the second.
        future: Future = self._client.submit(work, job, pure=False, retries=0, **placed)
        return future

    def _result(self, future: Future, within: float | None) -> Any:
        try:
            return future.result(timeout=within)
        except TimeoutError:
            future.cancel()
            raise ConnectionLost(
                f"no worker has answered within {within:.0f} s",
                step="executor",
                remedy="see the workers, then run again",
            ) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "distributed" and not isinstance(error, OSError):
                raise
            raise ConnectionLost(
                f"the worker is gone: {error}", step="executor", remedy="run again: the host tells how far it came"
            ) from None


def _put(ended: queue.SimpleQueue[tuple[J, Any]], job: J, future: Any) -> None:
    ended.put((job, future))


class _None:
    """No further job."""


_NONE: Final = _None()
