"""Asks registries for images as a node would pull them: from that node, mirrors first, not logged in. Fetches none.

It is a manifest that is asked for, by HEAD (OCI distribution specification, "Pulling manifests"); a registry that wants
a token names where anonymous ones are given (distribution's token authentication). A node behind a proxy of
containerd's own, or that logs in, may have more than is seen here: what is refused for that counts as not known.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import httpx2

from kubeforge.cluster.tunnel import TunnelTransport
from kubeforge.cluster.upgrade.supply import ImageAnswer
from kubeforge.transport.base import Remote

__all__ = ["ask_registries"]

_TIMEOUT: Final = 5.0
_THREADS: Final = 8
_HUB: Final = "docker.io"
_HUB_SERVER: Final = "https://registry-1.docker.io"
_PORTS: Final = {"https": 443, "http": 80}
_ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class _FromHost(httpx2.BaseTransport):
    """Opens every connection from a host, whatever server it leads to; redirects lead to others.

    Args:
        remote: the host.
        context: whom to trust.
    """

    def __init__(self, remote: Remote, context: ssl.SSLContext) -> None:
        self._remote = remote
        self._context = context
        self._opened: list[TunnelTransport] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        port = url.port or _PORTS[url.scheme]
        transport = TunnelTransport([partial(self._remote.open_tunnel, url.host, port)], self._context)
        self._opened.append(transport)
        return transport.handle_request(request)

    def close(self) -> None:
        for transport in self._opened:
            transport.close()


def ask_registries(
    remote: Remote,
    images: Iterable[str],
    mirrors: Mapping[str, Sequence[str]],
    *,
    context: ssl.SSLContext | None = None,
) -> tuple[ImageAnswer, ...]:
    """Ask for images, side by side.

    Args:
        remote: the host to ask from.
        images: references with tags.
        mirrors: registry (or `*`) -> URLs that are asked first, as cluster.yml has them.
        context: whom to trust; None: whom this machine trusts.
    """
    trusted = context or ssl.create_default_context()
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return tuple(pool.map(lambda image: _asked(remote, image, mirrors, trusted), images))


def _asked(remote: Remote, image: str, mirrors: Mapping[str, Sequence[str]], context: ssl.SSLContext) -> ImageAnswer:
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    reasons: list[str] = []
    absent = True
    with httpx2.Client(
        transport=_FromHost(remote, context), timeout=_TIMEOUT, trust_env=False, follow_redirects=True
    ) as client:
        for server in _servers(registry, mirrors):
            status, why = _head(client, f"{server}/v2/{repository}/manifests/{tag}")
            if status == httpx2.codes.OK:
                return ImageAnswer(image=image, host=remote.host, there=True)
            absent = absent and status == httpx2.codes.NOT_FOUND
            reasons.append(f"{server} {why}")
    return ImageAnswer(image=image, host=remote.host, there=False if absent else None, why="; ".join(reasons))


def _servers(registry: str, mirrors: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield who is asked, in containerd's order: a registry's own mirrors or those of all others, then itself."""
    for url in mirrors.get(registry, mirrors.get("*", ())):
        yield url.rstrip("/").removesuffix("/v2")
    yield _HUB_SERVER if registry == _HUB else f"https://{registry}"


def _head(client: httpx2.Client, url: str) -> tuple[int, str]:
    """Return the status, 0 where nobody answers, and words for it."""
    try:
        response = client.head(url, headers={"Accept": _ACCEPT})
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            token = _token(client, response.headers.get("www-authenticate", ""))
            if token:
                headers = {"Accept": _ACCEPT, "Authorization": f"Bearer {token}"}
                response = client.head(url, headers=headers)
    except httpx2.TimeoutException:
        return 0, f"does not answer within {_TIMEOUT:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, KeyError) as error:
        return 0, f"does not answer: {error}"
    return response.status_code, f"answers {response.status_code}"


def _token(client: httpx2.Client, challenge: str) -> str:
    """Return a token for somebody without a name; empty: there is none to be had."""
    kind, _, rest = challenge.partition(" ")
    given = dict(_CHALLENGE.findall(rest))
    if kind.lower() != "bearer" or "realm" not in given:
        return ""
    asked = {name: given[name] for name in ("service", "scope") if name in given}
    response = client.get(given["realm"], params=asked)
    if response.status_code != httpx2.codes.OK:
        return ""
    try:
        said = response.json()
        return str(said.get("token") or said.get("access_token") or "")
    except (ValueError, AttributeError):
        return ""
