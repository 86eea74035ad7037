"""Servers on this machine, a neighbour in a lab's network: an OpenID Connect issuer, a registry with a login."""

from __future__ import annotations

import base64
import http.server
import io
import json
import ssl
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Issuer", "issuer", "registry"]

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def served(address: str, answers: Any, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve GET and HEAD by `answers(path, headers)`; yields the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answers(self.path, self.headers)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Issuer:
    """Signs tokens; its key set is what it serves."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.url = ""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ca = self._certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "issuer.pem")

    def _certificate(self, folder: Path) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of a test")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(self.address))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        pem = made.public_bytes(Encoding.PEM)
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "issuer.pem").write_bytes(key + pem)
        return pem.decode()

    def token(self, **claims: Any) -> str:
        """Return a token signed by this issuer."""
        told = {"iss": self.url, "exp": int(time.time()) + 600, "iat": int(time.time()), **claims}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k"}, told))
        return f"{signed}.{_encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def answer(self, path: str, _: Any) -> Answer:
        numbers = self.key.public_key().public_numbers()
        n, e = (_encoded(value.to_bytes((value.bit_length() + 7) // 8)) for value in (numbers.n, numbers.e))
        pages: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": n, "e": e}]},
        }
        body = json.dumps(pages.get(path, {})).encode()
        return (200 if path in pages else 404), {"Content-Type": "application/json"}, body


@contextmanager
def issuer(address: str, folder: Path) -> Iterator[Issuer]:
    """Serve an issuer."""
    made = Issuer(address, folder)
    with served(address, made.answer, made.context) as port:
        made.url = f"https://{address}:{port}"
        yield made


@contextmanager
def registry(address: str, archive: bytes, login: str) -> Iterator[str]:
    """Serve the one image of an OCI archive, under any name, to who has a login (`user:password`); yields host:port."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: _read(tar, member) for member in tar if member.isfile()}
    (entry,) = json.loads(files["index.json"])["manifests"]
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}"

    def answers(path: str, headers: Mapping[str, str]) -> Answer:
        if headers.get("Authorization") != wanted:
            return 401, {"WWW-Authenticate": 'Basic realm="test"'}, b""
        kind, _, reference = path.rpartition("/")
        digest = reference if reference.startswith("sha256:") else entry["digest"]
        body = files.get(f"blobs/{digest.replace(':', '/')}")
        if body is None or not path.startswith("/v2/"):
            return (200, {}, b"") if path == "/v2/" else (404, {}, b"")
        manifest = kind.endswith("/manifests")
        media = json.loads(body)["mediaType"] if manifest else "application/octet-stream"
        return 200, {"Content-Type": media, "Docker-Content-Digest": digest}, body

    with served(address, answers) as port:
        yield f"{address}:{port}"


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
