"""Asking registries for images from a host: mirrors, tokens, what is not there. Over a server on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kubeforge.cluster.upgrade.registries import ask_registries
from kubeforge.transport.memory import MemoryHost

IMAGE = "registry.k8s.io/kube-apiserver:v1.36.3"
MIRROR = "mirror.test"


class Registry:
    """Answers HEADs of manifests by path; `token` is what it wants to be shown."""

    def __init__(self) -> None:
        self.status: dict[str, int] = {}
        self.token = ""
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_HEAD(self) -> None:
                outer.asked.append((str(self.headers["Host"]), self.path))
                status = outer.status.get(self.path, 404)
                shown = self.headers.get("Authorization", "")
                wanted = outer.token and shown != f"Bearer {outer.token}"
                self.send_response(401 if wanted else status)
                if wanted:
                    self.send_header("WWW-Authenticate", f'Bearer realm="http://{MIRROR}/token",service="s",scope="x"')
                if status == 307:
                    self.send_header("Location", f"http://{MIRROR}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                assert self.path == "/token?service=s&scope=x"
                body = json.dumps({"token": outer.token}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name for it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.server_port), timeout=5)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.close()


PATH = "/v2/kube-apiserver/manifests/v1.36.3"
MIRRORS = {"registry.k8s.io": [f"http://{MIRROR}"]}


def asked(registry: Registry, mirrors: dict[str, list[str]] | None = None) -> tuple[bool | None, str]:
    host = MemoryHost("cp1", tunnels={(MIRROR, 80): registry.open})
    (answer,) = ask_registries(host, [IMAGE], mirrors or MIRRORS, context=ssl.create_default_context())
    assert (answer.image, answer.host) == (IMAGE, "cp1")
    return answer.there, answer.why


def test_a_mirror_has_it(registry: Registry) -> None:
    registry.status[PATH] = 200
    assert asked(registry) == (True, "")
    assert registry.asked == [(MIRROR, PATH)]


def test_the_mirror_of_all_registries(registry: Registry) -> None:
    registry.status[PATH] = 200
    assert asked(registry, {"*": [f"http://{MIRROR}/v2/"]}) == (True, "")


def test_a_redirect_is_followed(registry: Registry) -> None:
    registry.status |= {PATH: 307, "/elsewhere": 200}
    assert asked(registry) == (True, "")


def test_a_token_for_somebody_without_a_name(registry: Registry) -> None:
    registry.status[PATH] = 200
    registry.token = "abc"
    assert asked(registry) == (True, "")


def test_the_mirror_lacks_it_and_the_registry_does_not_answer(registry: Registry) -> None:
    there, why = asked(registry)
    assert there is None, "the registry itself might have it"
    assert why.startswith(f"http://{MIRROR} answers 404; https://registry.k8s.io does not answer: ")


def test_nobody_has_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry itself is asked by TLS, so here it is one that mirrors lead to, twice."""
    monkeypatch.setattr("kubeforge.cluster.upgrade.registries._servers", lambda *_: iter([f"http://{MIRROR}"]))
    assert asked(registry) == (False, f"http://{MIRROR} answers 404")


def test_who_must_log_in_cannot_be_asked(registry: Registry) -> None:
    registry.status[PATH] = 403
    assert asked(registry)[0] is None
