"""HTTP and TLS over streams that are no sockets: a real server behind a socket pair."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2
import pytest

from kubeforge.cluster.api import Api
from kubeforge.cluster.credentials import Credentials, parse_kubeconfig, tls_context
from kubeforge.cluster.tunnel import TunnelTransport
from kubeforge.errors import ApiError, ApiUnavailable, ConnectionFailed
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import Authority, Issued, authority, leaf, new_keys
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

NOW = datetime.now(tz=UTC)


def make_authority(name: str) -> Authority:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return authority(Request(common_name=name, authority=True), key, days=10, now=NOW)


def issue(ca: Authority, *usages: Usage, name: str) -> Issued:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return leaf(Request(common_name=name, usages=usages, names=(name,)), key, ca, days=1, now=NOW)


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_authority("an-authority")


class Server:
    """Answers requests that come through socket pairs; every answer is `answer(method, path, body)`."""

    def __init__(self, ca: Authority, folder: Path, answer: Callable[[str, str, bytes], tuple[int, object]]) -> None:
        served = issue(ca, Usage.SERVER, name="kubernetes")
        pem = folder / "server.pem"
        pem.write_bytes(served.certificate + served.key.reveal())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.load_verify_locations(cadata=ca.certificate.decode())
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.answer = answer
        self.opened = 0
        self.threads: list[threading.Thread] = []
        self.ends: list[socket.socket] = []

    def open(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.opened += 1
        self.ends.append(theirs)
        thread = threading.Thread(target=self._serve, args=(ours,))
        self.threads.append(thread)
        thread.start()
        return theirs

    def close(self) -> None:
        for end in self.ends:
            end.close()
        for thread in self.threads:
            thread.join(5)

    def _serve(self, plain: socket.socket) -> None:
        try:
            with plain, self.context.wrap_socket(plain, server_side=True) as stream, stream.makefile("rwb") as file:
                while line := file.readline():
                    self._one(file, line)
        except (ssl.SSLError, OSError):
            return

    def _one(self, file: object, line: bytes) -> None:
        method, path, _ = line.decode().split(" ")
        length = 0
        while (header := file.readline().strip()) != b"":  # type: ignore[attr-defined]  # a buffered stream
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        status, said = self.answer(method, path, file.read(length))  # type: ignore[attr-defined]  # likewise
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        file.write(head.encode() + body)  # type: ignore[attr-defined]  # likewise
        file.flush()  # type: ignore[attr-defined]  # likewise


@pytest.fixture
def serve(ca: Authority, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(answer: Callable[[str, str, bytes], tuple[int, object]]) -> Server:
        made.append(Server(ca, tmp_path, answer))
        return made[-1]

    yield make
    for server in made:
        server.close()


def credentials(ca: Authority, trusted: Authority | None = None) -> Credentials:
    issued = issue(ca, Usage.CLIENT, name="admin")
    return Credentials(
        server="https://x", ca=(trusted or ca).certificate, certificate=issued.certificate, key=issued.key
    )


def echo(method: str, path: str, body: bytes) -> tuple[int, object]:
    return 200, {"method": method, "path": path, "body": body.decode()}


def test_requests_share_a_connection(ca: Authority, serve: Callable[..., Server]) -> None:
    server = serve(echo)
    with httpx2.Client(
        transport=TunnelTransport([server.open], tls_context(credentials(ca))), trust_env=False
    ) as client:
        for number in range(3):
            answer = client.post(f"https://kubernetes/{number}", content=b"b" * 100_000)
            assert answer.json()["path"] == f"/{number}"
            assert len(answer.json()["body"]) == 100_000
    assert server.opened == 1


def test_the_next_way_is_taken_when_one_is_closed(ca: Authority, serve: Callable[..., Server]) -> None:
    server = serve(echo)

    def closed() -> socket.socket:
        raise ConnectionFailed("no tunnel", host="cp1")

    api = Api([closed, server.open], credentials(ca))
    assert api.text("/readyz")[0] == 200
    api.close()


def test_a_way_that_is_closed_costs_its_time_once(ca: Authority, serve: Callable[..., Server]) -> None:
    server, tried = serve(echo), []

    def closed() -> socket.socket:
        tried.append("closed")
        raise ConnectionFailed("cp1 is off", host="cp1")

    transport = TunnelTransport([closed, server.open], tls_context(credentials(ca)))
    with httpx2.Client(transport=transport, trust_env=False) as client:
        for _ in range(3):
            assert client.get("https://kubernetes/x").status_code == 200
            transport.close()  # the next request needs a new connection
    assert tried == ["closed"]
    assert server.opened == 3


def test_no_way_at_all_is_said_with_every_reason(ca: Authority) -> None:
    def closed() -> socket.socket:
        raise ConnectionFailed("no tunnel", host="cp1")

    with pytest.raises(ApiUnavailable, match="cp1: no tunnel"):
        Api([closed], credentials(ca)).text("/readyz")


def test_a_server_of_another_authority_is_refused(ca: Authority, serve: Callable[..., Server]) -> None:
    server = serve(echo)
    api = Api([server.open], credentials(ca, trusted=make_authority("an-authority")))
    with pytest.raises(ApiUnavailable, match="certificate verify failed"):
        api.text("/readyz")
    api.close()


def test_objects_are_dictionaries_and_refusals_are_errors(ca: Authority, serve: Callable[..., Server]) -> None:
    asked: list[tuple[str, str]] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        asked.append((method, path))
        if "nothing" in path:
            return 404, {"kind": "Status", "code": 404, "message": "not found"}
        if "forbidden" in path:
            return 403, {"kind": "Status", "code": 403, "message": "no"}
        if method == "GET" and path.endswith("/nodes"):
            return 200, {"items": [{"metadata": {"name": "n"}}], "metadata": {}}
        return 200, json.loads(body) if body else {"kind": "ConfigMap", "unknown": 1, "metadata": {"name": "a"}}

    api = Api([serve(answer).open], credentials(ca))
    found = api.get("v1", "ConfigMap", "a", "kube-system")
    assert found is not None
    assert found["unknown"] == 1, "what we do not know is not lost"
    assert api.get("v1", "ConfigMap", "nothing", "kube-system") is None
    with pytest.raises(ApiError, match="403") as raised:
        api.get("v1", "ConfigMap", "forbidden", "kube-system")
    assert raised.value.status == 403
    assert api.objects("v1", "Node") == [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}]
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"}}
    assert api.apply(binding)["metadata"] == {"name": "b"}
    assert asked[-1][1] == (
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b?force=true&fieldManager=kubeforge"
    )
    api.close()


def test_a_kind_of_a_crd_is_looked_up_once(ca: Authority, serve: Callable[..., Server]) -> None:
    asked: list[str] = []

    def answer(_method: str, path: str, _body: bytes) -> tuple[int, object]:
        asked.append(path)
        if path == "/apis/example.test/v1":
            return 200, {"resources": [{"name": "things", "kind": "Thing", "namespaced": False}]}
        return 200, {"metadata": {"name": "t"}}

    api = Api([serve(answer).open], credentials(ca))
    for _ in range(2):
        assert api.get("example.test/v1", "Thing", "t") is not None
    assert asked == ["/apis/example.test/v1", "/apis/example.test/v1/things/t", "/apis/example.test/v1/things/t"]
    with pytest.raises(ApiError, match="does not know kind Other"):
        api.get("example.test/v1", "Other", "t")
    api.close()


def test_a_kubeconfig_is_read_and_its_key_never_shown(ca: Authority) -> None:
    issued = issue(ca, Usage.CLIENT, name="admin")
    text = kubeconfigs.with_certificate(
        cluster="demo", server="192.0.2.11:6443", ca=ca.certificate, name="admin", issued=issued
    )
    read = parse_kubeconfig(text)
    assert read.server == "https://192.0.2.11:6443"
    assert read.key == issued.key
    assert "PRIVATE" not in repr(read)
    broken = Secret(text.reveal().replace(b"client-certificate-data", b"client-data"))
    with pytest.raises(ApiError) as raised:
        parse_kubeconfig(broken)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_key_that_is_another_ones_is_refused(ca: Authority) -> None:
    one, other = issue(ca, Usage.CLIENT, name="a"), issue(ca, Usage.CLIENT, name="b")
    with pytest.raises(ApiError, match="cannot be used"):
        tls_context(Credentials(server="x", ca=ca.certificate, certificate=one.certificate, key=other.key))


def test_of_calls_side_by_side_none_begins_after_one_has_failed(ca: Authority) -> None:
    begun: list[int] = []

    def call(number: int) -> int:
        begun.append(number)
        if number == 0:
            raise ApiUnavailable("not within 15 s")
        return number

    api = Api([], credentials(ca))
    try:
        with pytest.raises(ApiUnavailable, match="not within 15 s"):
            api.each([partial(slow, call, number) for number in range(60)])
        assert len(begun) < 30
        assert api.each([partial(call, number) for number in (3, 1, 2)]) == [3, 1, 2]
    finally:
        api.close()


def slow(call: Callable[[int], int], number: int) -> int:
    """Make a call; all but the first take a moment, as questions to a server do."""
    if number:
        threading.Event().wait(0.01)
    return call(number)
