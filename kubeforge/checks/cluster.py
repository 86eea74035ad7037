"""The checks of a running cluster: Services and DNS, asked from every node through its own SSH tunnel.

"Node Ready" and "kube-proxy Running" do not mean that Services work (docs/troubleshooting: a kube-proxy without one
library synced nothing, silently), so these checks go the way a pod's packets go.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from kubeforge.checks.dns import lookup
from kubeforge.checks.model import Check
from kubeforge.errors import KubeforgeError
from kubeforge.spec.addresses import dns_ip, endpoint_port, host_port, inner_host, service_ip
from kubeforge.spec.model import ClusterSpec
from kubeforge.transport.base import ByteSocket, Remote

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["checks_for", "dns", "endpoint", "ingress", "service"]

_DNS_TURNS: Final = 4
"""kube-proxy draws a pod for each connection: of two, a dead one is missed by 1 in 16 who ask four times."""


def checks_for(spec: ClusterSpec) -> tuple[Check, ...]:
    """Return every check that makes sense for a cluster."""
    return (service(spec), dns(spec))


def service(spec: ClusterSpec) -> Check:
    """Return the check that the API's own Service answers on a node: kube-proxy works there."""
    address = service_ip(spec, 1)

    def ask(remote: Remote, patience: float) -> str | None:
        return _through(remote, address, 443, _speaks_tls, patience)

    return Check(name="service", asks=f"the Service kubernetes answers at {address}:443", ask=ask)


def endpoint(spec: ClusterSpec, inventory: Inventory) -> Check:
    """Return the check that the API answers a node at the endpoint its programs use."""
    host, port = inner_host(spec, inventory), endpoint_port(spec, inventory)

    def ask(remote: Remote, patience: float) -> str | None:
        return _through(remote, host, port, _speaks_tls, patience)

    return Check(name="endpoint", asks=f"the API answers at its endpoint {host_port(host, port)}", ask=ask)


def dns(spec: ClusterSpec) -> Check:
    """Return the check that cluster DNS answers on a node with the right address, whichever of its pods is asked.

    A pod of a node that has just rebooted counts as ready with its old address until the kubelet there speaks.
    """
    name, server, expected = f"kubernetes.default.svc.{spec.network.domain}", dns_ip(spec), service_ip(spec, 1)

    def ask(remote: Remote, patience: float) -> str | None:
        def talk(stream: ByteSocket) -> str | None:
            found = lookup(stream, name, timeout=patience, ipv6=":" in expected)
            return None if expected in found else f"it says {', '.join(found) or 'nothing'}, not {expected}"

        turns = (_through(remote, server, 53, talk, patience) for _ in range(_DNS_TURNS))
        return next((why for why in turns if why is not None), None)

    return Check(name="dns", asks=f"{server} resolves {name}", ask=ask)


def ingress(address: str, port: int) -> Check:
    """Return the check that an ingress controller listens on a node's port and speaks HTTP."""

    def ask(remote: Remote, patience: float) -> str | None:
        def talk(stream: ByteSocket) -> str | None:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: kubeforge.invalid\r\nConnection: close\r\n\r\n")
            return None if stream.recv(16).startswith(b"HTTP/1.1 ") else "something else answers there"

        return _through(remote, address, port, talk, patience)

    return Check(name="ingress", asks=f"ingress speaks HTTP at {address}:{port}", ask=ask)


def _speaks_tls(stream: ByteSocket) -> str | None:
    """Prove the way to an API server and back: it answers plain HTTP on its TLS port with 400."""
    stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = stream.recv(16)
    if answer.startswith(b"HTTP/1.0 400"):
        return None
    return "something else answers there" if answer else "the connection is closed at once: nobody is behind it"


def _through(
    remote: Remote, address: str, port: int, talk: Callable[[ByteSocket], str | None], patience: float
) -> str | None:
    """Open a tunnel on the node and talk; every failure is an answer.

    A first packet that is lost on a network just being made is sent again after 1, 3, 7, 15 s, and nothing can hurry
    that. So the attempt runs beside us, and who asks again makes a new one.
    """
    answers: SimpleQueue[str | None] = SimpleQueue()
    attempt = Thread(
        target=lambda: answers.put(_attempt(remote, address, port, talk, patience)), name=f"check {port}", daemon=True
    )
    attempt.start()
    try:
        return answers.get(timeout=patience)
    except Empty:
        return f"{address}:{port}: no answer within {patience:g} s"


def _attempt(
    remote: Remote, address: str, port: int, talk: Callable[[ByteSocket], str | None], patience: float
) -> str | None:
    try:
        with closing(remote.open_tunnel(address, port)) as stream:
            stream.settimeout(patience)
            return talk(stream)
    except TimeoutError:
        return f"{address}:{port}: no answer within {patience:g} s"
    except (KubeforgeError, OSError, EOFError, ValueError) as error:
        cause = error.cause if isinstance(error, KubeforgeError) else str(error)
        return f"{address}:{port}: {cause}"
