"""Downloads against a real server on loopback: resumed, checked, tried again only for causes that pass."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.download import Downloader, answers
from kubeforge.artifacts.model import Download, ProgressEvent, Stage, silent
from kubeforge.errors import ArtifactError

DATA = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@dataclass
class Site:
    """What the server shall do, and what it was asked."""

    data: bytes = DATA
    etag: str = '"one"'
    statuses: list[int] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None: ...

        def do_HEAD(self) -> None:
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            self.end_headers()

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.statuses:
                self.send_error(state.statuses.pop(0))
                return
            start = 0
            if wanted and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            body = state.data[start:]
            self.send_response(206 if start else 200)
            self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/file"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def fetch(cache: Cache, site: Site, digest: str = DIGEST, events: list[ProgressEvent] | None = None) -> Path:
    with Downloader(cache, (events if events is not None else []).append, pause=0.001) as downloader:
        found = downloader.fetch([Download(part="thing", url=site.url, sha256=digest)])
    return found[digest].path


def left_over(cache: Cache) -> list[Path]:
    return sorted((cache.root / "partial").glob("*")) if (cache.root / "partial").exists() else []


def test_a_file_is_fetched_once(cache: Cache, site: Site) -> None:
    events: list[ProgressEvent] = []
    assert fetch(cache, site, events=events).read_bytes() == DATA
    assert events[-1].stage is Stage.DOWNLOAD
    assert (events[-1].done, events[-1].total, events[-1].finished) == (len(DATA), len(DATA), True)
    fetch(cache, site)
    assert site.asked == [None]
    assert left_over(cache) == []


def test_a_cut_connection_is_taken_up_where_it_broke(cache: Cache, site: Site) -> None:
    site.cut_after = [1000, 2000]
    assert fetch(cache, site).read_bytes() == DATA
    assert site.asked == [None, "bytes=1000-", "bytes=3000-"]


def test_the_next_run_goes_on_where_this_one_gave_up(cache: Cache, site: Site) -> None:
    site.cut_after = [100] * 5
    with pytest.raises(ArtifactError, match=r"cannot fetch http.*file: ") as caught:
        fetch(cache, site)
    assert caught.value.exit_code == 14
    assert caught.value.remedy
    assert len(left_over(cache)) == 2
    assert fetch(cache, site).read_bytes() == DATA
    assert site.asked[-1] == "bytes=500-"


def test_another_file_at_the_same_place_is_fetched_from_its_start(cache: Cache, site: Site) -> None:
    site.data, site.cut_after = b"x" * len(DATA), [1000] * 5
    with pytest.raises(ArtifactError):
        fetch(cache, site)
    site.data, site.etag = DATA, '"two"'
    assert fetch(cache, site).read_bytes() == DATA


def test_a_resumed_file_that_does_not_fit_is_fetched_anew(cache: Cache, site: Site) -> None:
    site.cut_after = [1000] * 5
    with pytest.raises(ArtifactError):
        fetch(cache, site)
    partial = cache.root / "partial" / DIGEST
    partial.write_bytes(b"y" * partial.stat().st_size)
    assert fetch(cache, site).read_bytes() == DATA
    assert site.asked[-2:] == ["bytes=5000-", None]


def test_what_was_fetched_without_a_validator_is_not_trusted(cache: Cache, site: Site) -> None:
    site.cut_after, site.etag = [1000] * 5, 'W/"weak"'
    with pytest.raises(ArtifactError):
        fetch(cache, site)
    assert fetch(cache, site).read_bytes() == DATA
    assert set(site.asked) == {None}


def test_a_partial_that_is_longer_than_the_file_is_thrown_away(cache: Cache, site: Site) -> None:
    site.cut_after = [1000] * 5
    with pytest.raises(ArtifactError):
        fetch(cache, site)
    site.statuses = [416]
    assert fetch(cache, site).read_bytes() == DATA


def test_a_wrong_digest_names_part_url_and_both_digests(cache: Cache, site: Site) -> None:
    site.data = DATA[:-1] + b"!"
    found = hashlib.sha256(site.data).hexdigest()
    with pytest.raises(ArtifactError) as caught:
        fetch(cache, site)
    for fact in ("thing", site.url, found, DIGEST):
        assert fact in str(caught.value)
    assert site.asked == [None], "a wrong digest does not pass by itself"
    assert left_over(cache) == []
    assert cache.blob(DIGEST) is None
    assert cache.blob(found) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_answers_are_tried_again(cache: Cache, site: Site, status: int) -> None:
    site.statuses = [status, status]
    assert fetch(cache, site).read_bytes() == DATA
    assert len(site.asked) == 3


@pytest.mark.parametrize(("status", "word"), [(404, "404"), (403, "403")])
def test_lasting_answers_are_not(cache: Cache, site: Site, status: int, word: str) -> None:
    site.statuses = [status]
    with pytest.raises(ArtifactError, match=word):
        fetch(cache, site)
    assert len(site.asked) == 1


def test_nobody_listening_is_one_clear_error(cache: Cache, site: Site) -> None:
    site.url = "http://127.0.0.1:9/none"
    with pytest.raises(ArtifactError, match=r"cannot fetch http://127\.0\.0\.1:9/none"):
        fetch(cache, site)


def test_one_failure_does_not_stop_the_others(cache: Cache, site: Site) -> None:
    wrong = "0" * 64
    with Downloader(cache, silent, pause=0.001) as downloader, pytest.raises(ArtifactError):
        downloader.fetch(
            [Download(part="bad", url=site.url, sha256=wrong), Download(part="good", url=site.url, sha256=DIGEST)]
        )
    assert cache.blob(DIGEST) is not None


def test_two_processes_worth_of_fetching_ask_once(cache: Cache, site: Site) -> None:
    threads = [threading.Thread(target=fetch, args=(cache, site)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.asked == [None]


def test_small_texts(cache: Cache, site: Site) -> None:
    site.data = b"abc  file\n"
    with Downloader(cache, silent) as downloader:
        assert downloader.text(site.url, "list") == "abc  file\n"


def test_answers(site: Site) -> None:
    assert answers(site.url, within=2)
    site.statuses = [502]
    assert not answers(site.url, within=2)
    assert not answers("http://127.0.0.1:9/", within=2)
