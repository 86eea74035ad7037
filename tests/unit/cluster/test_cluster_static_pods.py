"""What runs on a host, asked on that host: probes over real TLS, and how often a container was started."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kubeforge.cluster import static_pods
from kubeforge.cluster.static_pods import lacks_answer, lacks_pod, starts
from kubeforge.cluster.tunnel import served_certificate
from kubeforge.manifests import control_plane, etcd
from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import authority, leaf, new_keys
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from tests.conftest import make_sample

NOW = datetime.now(tz=UTC)


class Answering:
    """A server that answers one request with one status, over TLS where it has a certificate."""

    def __init__(self, status: str, body: str, context: ssl.SSLContext | None) -> None:
        self.status, self.body, self.context = status, body, context
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []

    def open(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.threads.append(threading.Thread(target=self._serve, args=(ours,)))
        self.threads[-1].start()
        return theirs

    def _serve(self, plain: socket.socket) -> None:
        try:
            with plain, self.context.wrap_socket(plain, server_side=True) if self.context else plain as stream:
                self.asked.append(stream.recv(4096).decode().split(" ")[1])
                length = len(self.body)
                stream.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: {length}\r\n\r\n{self.body}".encode())
        except (OSError, ValueError, IndexError):
            return


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, bytes]:
    key, own = new_keys(2, KeyAlgorithm.ECDSA_P256)
    ca = authority(Request(common_name="anybody", authority=True), key, days=1, now=NOW)
    made = leaf(Request(common_name="x", usages=(Usage.SERVER,), names=("x",)), own, ca, days=1, now=NOW)
    pem = tmp_path_factory.mktemp("pem") / "x.pem"
    pem.write_bytes(made.certificate + made.key.reveal())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context, made.certificate


@pytest.fixture
def serving() -> Iterator[Any]:
    made: list[Answering] = []

    def make(status: str = "200 OK", body: str = "ok", context: ssl.SSLContext | None = None) -> Answering:
        made.append(Answering(status, body, context))
        return made[-1]

    yield make
    for server in made:
        for thread in server.threads:
            thread.join(5)


def pods() -> tuple[Any, Any]:
    sample = make_sample()
    api = control_plane.api_server(sample.spec, sample.inventory, sample.first, sample.images)
    return api, etcd.settled(sample.spec, sample.first, sample.images)


def test_an_api_server_is_asked_as_the_kubelet_asks_it(serving: Any, certificate: Any) -> None:
    server = serving(context=certificate[0])
    host = MemoryHost("cp1", tunnels={("192.0.2.11", 6443): server.open})
    assert lacks_answer(host, pods()[0], address="192.0.2.11") is None
    assert server.asked == ["/readyz"]


def test_etcd_speaks_plainly_on_loopback(serving: Any) -> None:
    server = serving("503 no", "[-]data_corruption failed\n[+]serializable_read ok")
    host = MemoryHost("cp1", tunnels={("127.0.0.1", 2381): server.open})
    told = lacks_answer(host, pods()[1], address="192.0.2.11")
    assert told == "etcd says 503: [-]data_corruption failed [+]serializable_read ok"
    assert "does not answer" in str(lacks_answer(MemoryHost("cp1"), pods()[1], address="192.0.2.11"))


def test_a_process_is_looked_for_before_anybody_is_asked() -> None:
    host = MemoryHost("cp1")
    pod = pods()[1]
    script = __import__("kubeforge.cluster.processes", fromlist=["x"])._COMMAND_LINES
    host.commands[("sh", "-c", script, "sh", "etcd", "/m")] = Completed(0, b"10.0 100.0 100\n50.0\n\n")
    assert lacks_pod(host, pod, address="192.0.2.11", files=["/m"]) == "etcd does not run"


def test_the_certificate_that_is_shown(serving: Any, certificate: Any) -> None:
    context, pem = certificate
    server = serving(context=context)
    shown = served_certificate(server.open)
    assert shown == x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    plain = serving()
    assert served_certificate(plain.open) is None


def refused() -> socket.socket:
    raise ConnectionRefusedError


def test_nobody_shows_a_certificate() -> None:
    assert served_certificate(refused) is None


def logged(folder: Path, age: float) -> None:
    folder.touch() if folder.suffix else folder.mkdir(parents=True)
    when = time.time() - age
    os.utime(folder, (when, when))


def started(tmp_path: Path) -> str:
    arguments = (str(tmp_path / "pods"), "kube-system_x-", "x", str(tmp_path / "manifest"))
    argv = ["sh", "-c", static_pods._STARTS, "sh", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_starts_are_those_of_the_pod_with_the_new_manifest(tmp_path: Path) -> None:
    logged(tmp_path / "manifest.yaml", 100)
    (tmp_path / "manifest.yaml").rename(tmp_path / "manifest")
    pods = tmp_path / "pods"
    pods.mkdir()
    assert started(tmp_path) == ""
    old = pods / "kube-system_x-cp1_old"
    (old / "x").mkdir(parents=True)
    logged(old / "x/7.log", 50)  # its last words come after the new manifest
    os.utime(old, (0, 0))
    assert started(tmp_path) == ""
    new = pods / "kube-system_x-cp1_new"
    (new / "x").mkdir(parents=True)
    logged(new / "x/0.log", 40)
    assert started(tmp_path) == "0"
    logged(new / "x/1.log", 10)
    (new / "x/0.log").unlink()  # the kubelet keeps the last one only
    assert started(tmp_path) == "1"


@pytest.mark.parametrize(("last", "count"), [(b"", 0), (b"0\n", 1), (b"12\n", 13)])
def test_starts_are_counted_from_one(last: bytes, count: int) -> None:
    argv = ("kube-system_etcd-", "etcd", "/etc/kubernetes/manifests/etcd.yaml")
    command = ("sh", "-c", static_pods._STARTS, "sh", "/var/log/pods", *argv)
    assert starts(MemoryHost("cp1", commands={command: Completed(0, last)}), pods()[1]) == count
