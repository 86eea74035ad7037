"""Asks components at their own ports, through a tunnel to their own host, the way the kubelet's probes do.

The API server is asked as a client asks it: by its certificate and with ours. Controller manager and scheduler make
up their certificates when they start, so nobody can verify them; their word is taken for no more than a sign of life.
"""

from __future__ import annotations

import json
import ssl
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import httpx2

from kubeforge.checks.cluster import dns
from kubeforge.cluster.credentials import Credentials, tls_context
from kubeforge.cluster.status.probe import Config
from kubeforge.cluster.status.rows import Lookup, Way
from kubeforge.cluster.tunnel import Opener, TunnelTransport, get_unverified
from kubeforge.errors import KubeforgeError
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import API_PORT
from kubeforge.transport.base import Remote

__all__ = ["LOOPBACK", "api_server", "controller", "loopback", "resolves", "way"]

LOOPBACK: Final = "127.0.0.1"
_NAME: Final = "kubernetes"  # every API server's certificate has it
_TIMEOUT: Final = 5.0
_DNS_TIMEOUT: Final = 3.0  # for each question; a pod that serves answers within milliseconds
_SERVES: Final = (httpx2.codes.OK, httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)  # anonymous may be refused
_WIDTH: Final = 200


def loopback(remote: Remote, port: int) -> Opener:
    """Return what opens a stream to a port of the host itself."""
    return partial(remote.open_tunnel, LOOPBACK, port)


def api_server(opener: Opener, credentials: Credentials | None) -> tuple[str, str]:
    """Ask one API server whether it is ready.

    Args:
        opener: a way to it.
        credentials: whose certificate we show, and the authority that its own must lead to; None: neither.

    Returns:
        What is wrong (empty: it serves), and its version without v (empty: it does not say).
    """
    if credentials is None:
        return _judged(*get_unverified(opener, "/readyz", timeout=_TIMEOUT)), ""
    try:
        context = tls_context(credentials)
    except KubeforgeError as error:
        return error.cause, ""
    ready = _get(opener, context, _NAME, API_PORT, "/readyz")
    version = _get(opener, context, _NAME, API_PORT, "/version") if ready[0] else (0, "")
    return _judged(*ready), _version(*version)


def controller(opener: Opener) -> tuple[str, str]:
    """Ask a controller manager or scheduler whether it is healthy.

    Returns:
        What is wrong (empty: nothing), and no version: it does not say.
    """
    return _judged(*get_unverified(opener, "/healthz", timeout=_TIMEOUT)), ""


def way(remote: Remote, config: Config) -> Way:
    """Ask for the API where a host's kubelet does: by name, address and authority of its kubeconfig."""
    url = urlsplit(config.server)
    host, port = url.hostname or "", url.port or 443
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=config.authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        problem = "its kubelet.conf holds no authority that could be read"
        return Way(host=remote.host, server=config.server, answers=False, problem=problem)
    status, body = _get(partial(remote.open_tunnel, host, port), context, host, port, "/livez")
    answers = status in _SERVES
    problem = "" if answers else _judged(status, body)
    return Way(host=remote.host, server=config.server, answers=answers, problem=problem)


def resolves(remote: Remote, spec: ClusterSpec) -> Lookup:
    """Ask cluster DNS from a node, the way a pod's packets go."""
    answer = dns(spec).answer(remote, _DNS_TIMEOUT)
    return Lookup(host=remote.host, answers=answer.good, problem=answer.detail)


def _get(opener: Opener, context: ssl.SSLContext, name: str, port: int, path: str) -> tuple[int, str]:
    host = f"[{name}]" if ":" in name else name
    transport = TunnelTransport([opener], context)
    with httpx2.Client(transport=transport, trust_env=False, timeout=_TIMEOUT) as client:
        try:
            response = client.get(f"https://{host}:{port}{path}")
        except httpx2.TimeoutException:
            return 0, f"no answer within {_TIMEOUT:g} s"
        except httpx2.HTTPError as error:
            return 0, str(error)
    return response.status_code, response.text


def _judged(status: int, body: str) -> str:
    """Return what is wrong with an answer: of a list of checks those that failed."""
    if status in _SERVES:
        return ""
    failed = [line.removeprefix("[-]").partition(" ")[0] for line in body.splitlines() if line.startswith("[-]")]
    if failed:
        return f"not ready: {', '.join(failed)}"
    said = " ".join(body.split())[:_WIDTH]
    return f"it does not answer: {said}" if status == 0 else f"it answers {status}: {said}"


def _version(status: int, body: str) -> str:
    try:
        return str(json.loads(body)["gitVersion"]).removeprefix("v") if status == httpx2.codes.OK else ""
    except (ValueError, LookupError, TypeError):
        return ""
