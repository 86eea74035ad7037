"""What is made or read once in a run and shared by all tasks on all threads. Keeps it in memory only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubeforge.errors import KubeforgeError
from kubeforge.secret import Secret
from kubeforge.transport.base import Remote

__all__ = ["OnceVault"]

T = TypeVar("T")


@dataclass(slots=True)
class _Cell:
    """One key's value, or the error that making it raised; the lock is held while it is made."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    made: bool = False
    value: Any = None
    error: KubeforgeError | None = None


class OnceVault:
    """See engine.model.Vault.

    Args:
        remote_of: host name -> Remote, for `fetch`.
    """

    def __init__(self, remote_of: Callable[[str], Remote]) -> None:
        self._remote_of = remote_of
        self._cells: dict[Hashable, _Cell] = {}
        self._lock = threading.Lock()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made by the first call; who asks meanwhile waits for it.

        Raises:
            KubeforgeError: what `make` raised, for everybody who asks.
        """
        with self._lock:
            cell = self._cells.setdefault(key, _Cell())
        with cell.lock:
            if not cell.made:
                try:
                    cell.value = make()
                except KubeforgeError as error:
                    cell.error = error
                cell.made = True
            if cell.error is not None:
                raise cell.error
            value: T = cell.value
            return value

    def fetch(self, host: str, path: str) -> Secret:
        """Return a host's file, read once a run.

        Raises:
            OperationFailed: it is missing or unreadable.
            ConnectionFailed: the host cannot be asked.
        """
        return self.once(("fetch", host, path), lambda: Secret(self._remote_of(host).read(path)))
