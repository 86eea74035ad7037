"""Serve a mirror's folder over HTTP: static files, many at once, with Range. Shows nothing outside the folder."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from kubeforge.artifacts.mirror import SUMS
from kubeforge.errors import ArtifactError

__all__ = ["parse_bind", "server"]

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_CHUNK: Final = 1 << 20
_SECONDS_IDLE: Final = 30


def server(folder: Path, address: tuple[str, int], log: Callable[[str], None]) -> ThreadingHTTPServer:
    """Return a server that listens already; call its `serve_forever`, and `server_close` at the end.

    Args:
        folder: the mirror.
        address: (host, port); port 0 takes a free one.
        log: gets one line for each request.

    Raises:
        ArtifactError: the folder is no mirror, or the address cannot be had.
    """
    root = folder.resolve()
    if not (root / SUMS).is_file():
        raise ArtifactError(
            f"{folder} is no mirror: it has no {SUMS}",
            step="artifacts serve",
            remedy="make one with `kubeforge artifacts build`",
        )

    try:
        return _Server(address, root, log)
    except OSError as error:
        raise ArtifactError(
            f"cannot listen on {address[0]} port {address[1]}: {error.strerror}",
            step="artifacts serve",
            remedy="name another address with --bind ADDRESS:PORT",
        ) from None


def parse_bind(text: str) -> tuple[str, int]:
    """Return (host, port) of `ADDRESS`, `ADDRESS:PORT` or `[V6]:PORT`; the port is 8080 if not given.

    Raises:
        ArtifactError: the port is no number.
    """
    host, _, port = text.rpartition(":") if re.fullmatch(r"[^:]*:\d+|\[.*\]:\d+", text) else (text, "", "8080")
    if not port.isdigit() or int(port) > 65535:
        raise ArtifactError(f"{text} is not ADDRESS:PORT", step="artifacts serve", remedy="e.g. --bind 127.0.0.1:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


class _Server(ThreadingHTTPServer):
    """Knows the folder and the log."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], root: Path, log: Callable[[str], None]) -> None:
        self.root = root
        self.log = log
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of regular files."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "kubeforge"
    timeout = _SECONDS_IDLE
    disable_nagle_algorithm = True  # else a small file's body waits up to 40 ms for the client's TCP to say "go on"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        self.server.log(f"{self.address_string()} {format % args}")

    def _answer(self, *, body: bool) -> None:
        path = self._path()
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with path.open("rb") as stream:
            seen = os.fstat(stream.fileno())
            tag = f'"{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}"'
            span = self._span(seen.st_size, tag)
            if span is None:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{seen.st_size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first, last = span
            whole = last - first + 1 == seen.st_size
            self.send_response(HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
            if not whole:
                self.send_header("Content-Range", f"bytes {first}-{last}/{seen.st_size}")
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", tag)
            self.end_headers()
            if body and seen.st_size:
                self._send(stream, first, last - first + 1)

    def _send(self, stream: IO[bytes], start: int, length: int) -> None:
        """Send by the kernel; a client that goes away ends it."""
        try:
            self.connection.sendfile(stream, start, length)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def _path(self) -> Path | None:
        """Return the regular file that is asked for, None where there is none inside the folder."""
        wanted = unquote(urlsplit(self.path).path).lstrip("/")
        if "\0" in wanted:
            return None
        path = (self.server.root / wanted).resolve()
        return path if path.is_file() and path.is_relative_to(self.server.root) else None

    def _span(self, size: int, tag: str) -> tuple[int, int] | None:
        """Return first and last byte to send, None where the range lies outside the file."""
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        if found is None or self.headers.get("If-Range", tag) != tag or found.group(0) == "bytes=-":
            return 0, size - 1
        if not found[1]:
            return max(0, size - int(found[2])), size - 1
        first = int(found[1])
        last = min(int(found[2]), size - 1) if found[2] else size - 1
        return (first, last) if first <= last else None
