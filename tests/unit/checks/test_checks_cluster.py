from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.checks.cluster import checks_for, dns, endpoint, ingress, service
from kubeforge.checks.dns import lookup
from kubeforge.transport.memory import MemoryHost
from tests.unit.small_dns import answer_to, behind, dns_server

Make = Callable[..., Any]


def host(address: str, port: int, talk: Callable[[socket.socket], None]) -> MemoryHost:
    return MemoryHost("w1", tunnels={(address, port): behind(talk)})


def test_dns_passes(sample: Make) -> None:
    assert dns(sample().spec).answer(host("10.96.0.10", 53, dns_server("10.96.0.1"))).good


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (dns_server("10.96.0.99"), "it says 10.96.0.99, not 10.96.0.1"),
        (dns_server(), "it says nothing"),
        (dns_server(code=3), "NXDOMAIN"),
        (lambda stream: bool(stream.recv(512)), "closed the connection"),
        (lambda stream: time.sleep(0.5 + 0 * stream.fileno()), "no answer within 0.2 s"),
    ],
)
def test_dns_says_what_is_wrong(sample: Make, server: Callable[[socket.socket], None], said: str) -> None:
    assert said in dns(sample().spec).answer(host("10.96.0.10", 53, server), 0.2).detail


def test_dns_does_not_pass_by_luck_while_one_of_its_pods_is_dead(sample: Make) -> None:
    alive, asked = dns_server("10.96.0.1"), itertools.count()

    def one_after_the_other(stream: socket.socket) -> None:
        if next(asked):
            stream.recv(512)
        else:
            alive(stream)

    answer = dns(sample().spec).answer(host("10.96.0.10", 53, one_after_the_other))
    assert "closed the connection" in answer.detail


def test_dns_of_a_node_without_services(sample: Make) -> None:
    answer = dns(sample().spec).answer(MemoryHost("w1"))
    assert not answer.good
    assert "10.96.0.10:53" in answer.detail


def speaks(text: bytes) -> Callable[[socket.socket], None]:
    def talk(stream: socket.socket) -> None:
        stream.recv(4096)
        stream.sendall(text)

    return talk


def test_service(sample: Make) -> None:
    check = service(sample().spec)
    told = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    assert check.answer(host("10.96.0.1", 443, speaks(told))).good
    assert "something else" in check.answer(host("10.96.0.1", 443, speaks(b"SSH-2.0-x\r\n"))).detail


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n", None),
        (b"HTTP/1.1 200 OK\r\n", "something else answers there"),
        (b"", "nobody is behind it"),
    ],
)
def test_endpoint(sample: Make, said: bytes, why: str | None) -> None:
    cluster = sample(control_planes=3)
    check = endpoint(cluster.spec, cluster.inventory)
    told = check.ask(host("127.0.0.1", 6443, speaks(said)), 5.0)
    assert told is None if why is None else why in str(told)


def test_ingress() -> None:
    check = ingress("192.0.2.21", 80)
    assert check.answer(host("192.0.2.21", 80, speaks(b"HTTP/1.1 404 Not Found\r\n\r\n"))).good
    assert not check.answer(host("192.0.2.21", 80, speaks(b"nonsense"))).good


def test_names_are_unique(sample: Make) -> None:
    names = [check.name for check in checks_for(sample().spec)]
    assert len(names) == len(set(names)) == 2


def cut_off(stream: socket.socket) -> None:
    """An answer that claims to be whole."""
    (length,) = struct.unpack("!H", stream.recv(2))
    message = answer_to(stream.recv(length), "10.96.0.1")[:-3]
    stream.sendall(struct.pack("!H", len(message)) + message)


def mistaken(stream: socket.socket) -> None:
    """An answer to somebody else's question."""
    (length,) = struct.unpack("!H", stream.recv(2))
    message = answer_to(stream.recv(length), "10.96.0.1")
    stream.sendall(struct.pack("!H", len(message)) + bytes([message[0] ^ 1]) + message[1:])


@pytest.mark.parametrize(("server", "said"), [(cut_off, "makes no sense"), (mistaken, "not to our question")])
def test_an_answer_that_is_none(server: Callable[[socket.socket], None], said: str) -> None:
    with behind(server)() as stream, pytest.raises(ValueError, match=said):
        lookup(stream, "kubernetes.default.svc.cluster.local", timeout=2)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".local"])
def test_no_dns_name(name: str) -> None:
    with behind(lambda _: None)() as stream, pytest.raises(ValueError, match="makes no sense"):
        lookup(stream, name, timeout=2)


def test_ipv6_asks_for_its_own_kind() -> None:
    asked: list[bytes] = []

    def talk(stream: socket.socket) -> None:
        (length,) = struct.unpack("!H", stream.recv(2))
        asked.append(stream.recv(length))
        stream.sendall(struct.pack("!H", len(answer_to(asked[0]))) + answer_to(asked[0]))

    with behind(talk)() as stream:
        assert lookup(stream, "a.b", timeout=2, ipv6=True) == ()
    assert struct.unpack("!HH", asked[0][-4:]) == (28, 1)
