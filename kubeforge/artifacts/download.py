"""Fetch files over HTTP(S) into the cache: parallel, resumable, checked while they stream.

A transfer that breaks is taken up where it broke (Range with If-Range), in this run or the next. Only causes that
pass by themselves are tried again; a missing file or a wrong digest is not. Does not know what the files are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from io import BufferedRandom
from pathlib import Path
from typing import Final, Self, TypeVar

import httpx2
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import Download, LocalFile, Progress, ProgressEvent, Stage
from kubeforge.errors import ArtifactError

__all__ = ["Downloader", "answers", "exists"]

PARALLEL: Final = 4
ATTEMPTS: Final = 5
TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
"""Seconds without a byte, and to connect. There is no limit on the whole: files are big and links are slow."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_ABSENT: Final = frozenset({403, 404, 410})
"""What servers say of a file that is not there; stores of objects refuse (403) instead, so as not to tell."""
_SHOW_EVERY: Final = 0.1
"""Seconds between two progress events of one file."""
_SMALL: Final = 4 << 20
"""Most bytes of a file that is read as text (digest lists)."""


_Result = TypeVar("_Result")


class _CutOff(Exception):
    """The connection ended before the promised length."""


class Downloader:
    """Fetches into one cache.

    Args:
        cache: where files end up.
        progress: told of bytes, total and remaining time.
        transport: for tests; default: real connections, proxies and CAs from the environment.
        pause: seconds before the first retry; it doubles.
    """

    def __init__(
        self,
        cache: Cache,
        progress: Progress,
        *,
        transport: httpx2.BaseTransport | None = None,
        pause: float = 1.0,
    ) -> None:
        self._cache = cache
        self._progress = progress
        self._pause = pause
        self._stop = threading.Event()
        self._client = httpx2.Client(
            transport=transport,
            timeout=TIMEOUT,
            follow_redirects=True,
            headers={"User-Agent": "kubeforge", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def fetch(self, wanted: Iterable[Download]) -> dict[str, LocalFile]:
        """Fetch files in parallel, those that the cache has not.

        Args:
            wanted: the files; one digest is fetched once.

        Returns:
            Digest -> file.

        Raises:
            ArtifactError: a file cannot be had or is not what its digest says; the others are fetched all the same.
        """
        unique = {download.sha256: download for download in wanted}
        have = {digest: self._cache.blob(digest) for digest in unique}
        missing = [unique[digest] for digest, file in have.items() if file is None]
        found = {digest: file for digest, file in have.items() if file is not None}
        if not missing:
            return found
        with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="download") as pool:
            try:
                futures = [pool.submit(self._one, download) for download in missing]
                failures = [error for error in (future.exception() for future in futures) if error is not None]
            except BaseException:  # Ctrl-C: let the threads end at their next chunk; what they have is kept
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        if failures:
            raise failures[0]
        return found | {file.sha256: file for file in (future.result() for future in futures)}

    def text(self, url: str, part: str) -> str:
        """Return a small text file, with the same retries.

        Raises:
            ArtifactError: it cannot be had, or is larger than 4 MiB.
        """

        def get() -> str:
            content = b""
            with self._client.stream("GET", url) as response:
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _SMALL:
                        raise ArtifactError(f"{url} is larger than {_SMALL} bytes", step=f"artifact {part}")
            return content.decode("utf-8", "replace")

        return self._patiently(get, url=url, part=part)

    def _one(self, download: Download) -> LocalFile:
        waiting = ProgressEvent(part=download.part, stage=Stage.WAIT, text="another kubeforge is fetching it")
        with self._cache.lock(f"download {download.sha256}", waiting=lambda: self._progress(waiting)):
            existing = self._cache.blob(download.sha256)  # fetched by whoever held the lock
            if existing is not None:
                return existing
            return self._patiently(lambda: self._transfer(download), url=download.url, part=download.part)

    def _transfer(self, download: Download) -> LocalFile:
        """Fetch one file, going on from what an earlier attempt left."""
        partial = _Partial(self._cache.root / "partial" / download.sha256)
        with partial.open() as stream:
            validator = partial.resume(stream)
            digest = hashlib.file_digest(stream, "sha256")
            start = stream.tell()
            headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
            with self._client.stream("GET", download.url, headers=headers) as response:
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    partial.discard()
                    raise _CutOff("the server's file is shorter than what was fetched before")
                response.raise_for_status()
                if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    partial.start_again(stream, response.headers)
                    digest, start = hashlib.sha256(), 0
                length = response.headers.get("Content-Length")
                total = start + int(length) if length else None
                self._receive(download, response.iter_raw(), _tee(stream, digest), start, total)
            size = stream.tell()
        if total is not None and size < total:
            raise _CutOff(f"the connection ended after {size} of {total} bytes")
        if start and digest.hexdigest() != download.sha256:
            partial.discard()
            raise _CutOff("what had been fetched before does not fit")
        try:
            file = self._cache.add(
                partial.path,
                sha256=download.sha256,
                hashed=digest.hexdigest(),
                part=f"{download.part} from {download.url}",
            )
        finally:
            partial.discard()
        self._tell(download, size, size, 0.0, finished=True)
        return file

    def _receive(
        self,
        download: Download,
        chunks: Iterable[bytes],
        write: Callable[[bytes], None],
        start: int,
        total: int | None,
    ) -> None:
        """Hand the body to `write`, telling of it about ten times a second."""
        began = shown = time.monotonic()
        done = start
        for chunk in chunks:
            if self._stop.is_set():
                raise ArtifactError("stopped; the next run goes on from here", step=f"artifact {download.part}")
            write(chunk)
            done += len(chunk)
            now = time.monotonic()
            if now - shown >= _SHOW_EVERY:
                shown = now
                rate = (done - start) / (now - began)
                self._tell(download, done, total, (total - done) / rate if total is not None and rate else None)

    def _tell(
        self, download: Download, done: int, total: int | None, remaining: float | None, *, finished: bool = False
    ) -> None:
        self._progress(
            ProgressEvent(
                part=download.part,
                stage=Stage.DOWNLOAD,
                done=done,
                total=total,
                remaining=remaining,
                finished=finished,
            )
        )

    def _patiently(self, attempt: Callable[[], _Result], *, url: str, part: str) -> _Result:
        """Call `attempt` until it succeeds; passing causes are tried again, all others end as ArtifactError."""
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=self._pause, max=30 * self._pause) + wait_random(0, self._pause),
            retry=retry_if_exception(_passes),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except (httpx2.HTTPError, httpx2.InvalidURL, _CutOff, OSError) as error:
            raise ArtifactError(
                f"cannot fetch {url}: {_reason(error)}",
                step=f"artifact {part}",
                remedy=_remedy(error),
            ) from error

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _tee(stream: BufferedRandom, digest: hashlib._Hash) -> Callable[[bytes], None]:
    """Return what writes to both."""

    def write(chunk: bytes) -> None:
        stream.write(chunk)
        digest.update(chunk)

    return write


class _Partial:
    """What has been fetched of one file, and the validator that says it is still that file.

    Args:
        path: the bytes; the validator lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_suffix(".json")

    @contextlib.contextmanager
    def open(self) -> Iterator[BufferedRandom]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with self.path.open("rb+") as stream:
            yield stream

    def resume(self, stream: BufferedRandom) -> str:
        """Return the strong ETag or date for If-Range; without one, what is there is thrown away."""
        try:
            validator = str(json.loads(self._note.read_bytes())["validator"])
        except (FileNotFoundError, ValueError, KeyError):
            validator = ""
        if not validator:
            stream.truncate(0)
        return validator

    def start_again(self, stream: BufferedRandom, headers: Mapping[str, str]) -> None:
        """Forget the bytes, remember what the server calls the file now."""
        stream.seek(0)
        stream.truncate()
        etag = headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        Cache.write_atomically(self._note, json.dumps({"validator": validator}).encode())

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def answers(url: str, *, within: float, transport: httpx2.BaseTransport | None = None) -> bool:
    """Return whether a server answers at all (any status below 500).

    Args:
        url: what is asked for, with HEAD.
        within: seconds for the whole.
        transport: for tests.
    """
    try:
        with httpx2.Client(transport=transport, timeout=within, follow_redirects=False) as client:
            return client.head(url).status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    except (httpx2.HTTPError, OSError):
        return False


def exists(url: str, *, within: float, transport: httpx2.BaseTransport | None = None) -> bool | None:
    """Return whether a server has a file; None: it does not say.

    Args:
        url: what is asked for, with HEAD.
        within: seconds for the whole.
        transport: for tests.
    """
    try:
        with httpx2.Client(transport=transport, timeout=within, follow_redirects=True) as client:
            status = client.head(url).status_code
    except (httpx2.HTTPError, OSError):
        return None
    return True if status == HTTPStatus.OK else False if status in _ABSENT else None


def _passes(error: BaseException) -> bool:
    """Return whether the cause may be gone at the next attempt."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _PASSING
    if _tls_cause(error) is not None:
        return False
    return isinstance(error, (httpx2.TransportError, _CutOff)) and not isinstance(error, httpx2.UnsupportedProtocol)


def _tls_cause(error: BaseException) -> ssl.SSLCertVerificationError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}".rstrip()
    tls = _tls_cause(error)
    if tls is not None:
        return f"its certificate is not trusted: {tls.verify_message}"
    return str(error) or type(error).__name__


def _remedy(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == HTTPStatus.NOT_FOUND:
        return "that version may not exist; see `kubeforge artifacts list`, or name another version"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return "free some room below the cache folder, or name another by KUBEFORGE_CACHE"
    return "look at the network and proxy, name a mirror (artifacts.mirror), or compile with artifacts.source: source"
