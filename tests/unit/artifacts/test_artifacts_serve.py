"""The mirror's server: files, ranges, and nothing outside the folder."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.artifacts.serve import parse_bind, server
from kubeforge.errors import ArtifactError


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "mirror"
    (folder / "dl").mkdir(parents=True)
    (folder / "SHA256SUMS").write_text("")
    (folder / "dl/a b").write_bytes(b"0123456789")
    (folder / "empty").touch()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with server(folder, ("127.0.0.1", 0), lambda _line: None) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def test_whole_files(port: int) -> None:
    status, body, headers = get(port, "/dl/a%20b")
    assert (status, body, headers["Content-Length"]) == (200, b"0123456789", "10")
    assert get(port, "/empty")[:2] == (200, b"")
    assert get(port, "/dl/a%20b", "HEAD")[:2] == (200, b"")


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=4-", 206, b"456789"),
        ("bytes=2-3", 206, b"23"),
        ("bytes=-3", 206, b"789"),
        ("bytes=0-99", 200, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges(port: int, asked: str, status: int, body: bytes) -> None:
    assert get(port, "/dl/a%20b", Range=asked)[:2] == (status, body)


def test_a_range_of_another_version_gives_the_whole(port: int) -> None:
    tag = get(port, "/dl/a%20b")[2]["ETag"]
    assert get(port, "/dl/a%20b", Range="bytes=4-", If_Range=tag)[0] == 206
    assert get(port, "/dl/a%20b", Range="bytes=4-", If_Range='"other"')[0] == 200


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/dl/../../secret", "/link", "/dl", "/", "/x%00"])
def test_nothing_outside_the_folder_and_no_folders(port: int, path: str) -> None:
    assert get(port, path)[0] == 404


def test_a_folder_without_sums_is_no_mirror(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no mirror"):
        server(tmp_path, ("127.0.0.1", 0), print)


def test_an_address_that_is_taken_is_one_clear_error(port: int, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"cannot listen on 127.0.0.1 port {port}"):
        server(tmp_path / "mirror", ("127.0.0.1", port), print)


def test_bind() -> None:
    assert parse_bind("127.0.0.1") == ("127.0.0.1", 8080)
    assert parse_bind("0.0.0.0:80") == ("0.0.0.0", 80)
    assert parse_bind("[::1]:81") == ("::1", 81)
    assert parse_bind("::1") == ("::1", 8080)
    with pytest.raises(ArtifactError):
        parse_bind("127.0.0.1:99999")
