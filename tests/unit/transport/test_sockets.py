"""The socket under SSH: reading ahead, on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from kubeforge.transport.sockets import PromptSocket, dial

Pair = tuple[PromptSocket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialled = dial("127.0.0.1", listener.getsockname()[1], timeout=5, host="h")
        with dialled, closing(listener.accept()[0]) as peer:
            yield dialled, peer


def exactly(sock: socket.socket, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        piece = b""
        while len(piece) < size and (more := sock.recv(size - len(piece))):
            piece += more
        pieces.append(piece)
    return pieces


def test_pieces_come_in_order_however_they_are_asked_for(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"abcdefghij")
    assert exactly(ours, [1, 3, 2]) == [b"a", b"bcd", b"ef"]
    theirs.sendall(b"klm")
    assert exactly(ours, [7]) == [b"ghijklm"]


def test_more_than_is_read_ahead(pair: Pair) -> None:
    ours, theirs = pair
    data = bytes(range(256)) * 1024
    theirs.sendall(data[:100_000])
    assert exactly(ours, [99_999, 1]) == [data[:99_999], data[99_999:100_000]]


def test_the_end_comes_after_what_was_read_ahead(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"abc")
    theirs.shutdown(socket.SHUT_WR)
    assert exactly(ours, [2, 2, 1]) == [b"ab", b"c", b""]


def test_nothing_there_is_a_timeout(pair: Pair) -> None:
    ours, theirs = pair
    ours.settimeout(0.05)
    theirs.sendall(b"ab")
    assert exactly(ours, [1, 1]) == [b"a", b"b"]
    with pytest.raises(TimeoutError):
        ours.recv(1)
