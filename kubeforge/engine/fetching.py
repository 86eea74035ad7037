"""Files from many hosts, written as they come: each appears under its name only when it is whole."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from kubeforge.engine.adhoc import Answer
from kubeforge.engine.events import Failure
from kubeforge.errors import InputError, OperationFailed, Problem
from kubeforge.operations.shell import quote

__all__ = ["Fetching", "fetch_line"]


def fetch_line(path: str) -> str:
    """Return the command that prints a file's content."""
    return f"exec cat -- {quote(path)}"


class Fetching:
    """Writes what hosts send to FOLDER/HOST/PATH. A sink of `adhoc.everywhere`; leaving it removes what is not whole.

    Args:
        folder: on this machine; made where it is missing.
        path: on the hosts, absolute.

    Attributes:
        files: those that are whole, in the order they came.

    Raises:
        InputError: the path is none.
    """

    def __init__(self, folder: Path, path: str) -> None:
        if not path.startswith("/") or ".." in Path(path).parts:
            message = f"{path}: an absolute path on the hosts is expected, without `..`"
            raise InputError([Problem(message=message)])
        self._folder = folder
        self._below = Path(path.lstrip("/"))
        self._open: dict[str, tuple[Path, BinaryIO]] = {}
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self.files: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for path, file in self._open.values():
            file.close()
            path.unlink(missing_ok=True)

    def __call__(self, host: str, piece: bytes) -> None:
        """Write a piece of a host's file."""
        if host in self._broken:
            return
        try:
            self._file(host)[1].write(piece)
        except OSError as error:
            self._broken[host] = error.strerror or str(error)

    def done(self, answer: Answer) -> Answer:
        """Give a host's file its name if all of it came; return the answer, failed where it did not."""
        host = answer.host
        if answer.good and host not in self._broken:
            try:
                partial, file = self._file(host)
                file.close()
                self.files.append(partial.replace(self._target(host)))
                self._open.pop(host)
            except OSError as error:
                self._broken[host] = error.strerror or str(error)
            else:
                return answer
        return replace(answer, status=None, failure=answer.failure or self._failure(answer))

    def _file(self, host: str) -> tuple[Path, BinaryIO]:
        with self._lock:
            if host not in self._open:
                target = self._target(host)
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{target.name}.partial")
                handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                self._open[host] = partial, os.fdopen(handle, "wb")
            return self._open[host]

    def _target(self, host: str) -> Path:
        return self._folder / host / self._below

    def _failure(self, answer: Answer) -> Failure:
        said = answer.output.decode("utf-8", "replace").strip().rpartition(": ")[2]
        here = self._broken.get(answer.host)
        cause = f"it cannot be written here: {here}" if here else said or f"status {answer.status}"
        return Failure.of(OperationFailed(cause, host=answer.host, step=f"fetch /{self._below}"))
