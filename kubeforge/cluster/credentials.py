"""Reads a kubeconfig's server, CA and client certificate into a TLS context. The private key never touches a disk.

`ssl` takes a client's key only as a file name, so the key lies in an anonymous memory file for the length of one call
(Linux); elsewhere in a 0600 file in a directory of its own, removed at once.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubeforge.documents import load
from kubeforge.errors import ApiError
from kubeforge.secret import Secret

__all__ = ["Credentials", "parse_kubeconfig", "tls_context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who speaks to whom.

    Args:
        server: URL of the API, as the kubeconfig names it.
        ca: PEM certificates that the server's must lead to.
        certificate: the client's certificate, PEM.
        key: its private key, PEM.
    """

    server: str
    ca: bytes
    certificate: bytes
    key: Secret


def parse_kubeconfig(content: bytes | Secret) -> Credentials:
    """Read the current context of a kubeconfig with embedded certificates.

    Raises:
        ApiError: it is not one. The message never quotes it.
    """
    raw = content.reveal() if isinstance(content, Secret) else content
    try:
        config: dict[str, Any] = load(raw)
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        return Credentials(
            server=cluster["server"],
            ca=base64.b64decode(cluster["certificate-authority-data"]),
            certificate=base64.b64decode(user["client-certificate-data"]),
            key=Secret(base64.b64decode(user["client-key-data"])),
        )
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, binascii.Error):
        # `from None`: a YAML error quotes the text, which holds a key.
        raise ApiError(
            "the kubeconfig cannot be used: it needs a current context with embedded CA, certificate and key",
            remedy="look at it on the control plane, or have kubeforge write it again by removing it there",
        ) from None


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """Return a context that trusts the cluster's CA alone and shows the client certificate.

    Raises:
        ApiError: certificate and key do not belong together, or cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=credentials.ca.decode("ascii"))
        with _file(credentials.certificate + b"\n" + credentials.key.reveal()) as path:
            context.load_cert_chain(path)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ApiError(f"the client certificate of the kubeconfig cannot be used: {error}") from None
    return context


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Give `content` a file name while the block runs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubeforge", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # not Linux
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.touch(mode=0o600)
            path.write_bytes(content)
            yield str(path)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)
