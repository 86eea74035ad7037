"""HTTP(S) over streams that somebody else opens, such as SSH tunnels: an httpx2 transport.

No socket is opened here and no name is resolved: `open_stream` decides where the bytes go. TLS runs in memory, because
an SSH channel is not a socket that `ssl` could wrap.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import httpcore2
import httpx2

from kubeforge.errors import KubeforgeError
from kubeforge.transport.base import ByteSocket

__all__ = ["Opener", "TunnelTransport", "get_plainly", "get_unverified", "served_certificate"]

Opener = Callable[[], ByteSocket]
"""Opens one stream to the server; raises ConnectionFailed or OSError when it cannot."""

_CHUNK: Final = 65536
_CONNECTIONS: Final = 6  # parallel requests; each costs one channel and one handshake


class _Stream(httpcore2.NetworkStream):
    """Plain bytes over one tunnel."""

    def __init__(self, socket: ByteSocket) -> None:
        self._socket = socket

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            self._socket.settimeout(timeout)
            return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._socket.settimeout(timeout)
            self._socket.sendall(buffer)

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = _TlsStream(self._socket, ssl_context, server_hostname)
        with _mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                stream.handshake(timeout)
            except BaseException:
                self.close()
                raise
        return stream


class _TlsStream(httpcore2.NetworkStream):
    """TLS over one tunnel, by memory BIOs."""

    def __init__(self, socket: ByteSocket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._socket = socket
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_hostname)

    def handshake(self, timeout: float | None) -> None:
        self._socket.settimeout(timeout)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            else:
                self._flush()
                return

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            self._socket.settimeout(timeout)
            while True:
                try:
                    return self._tls.read(max_bytes)
                except ssl.SSLWantReadError:
                    self._flush()
                    self._feed()
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._socket.settimeout(timeout)
            self._tls.write(buffer)
            self._flush()

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> object:
        return self._tls if info == "ssl_object" else None

    def _flush(self) -> None:
        pending = self._out.read()
        if pending:
            self._socket.sendall(pending)

    def _feed(self) -> None:
        data = self._socket.recv(_CHUNK)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()


class _Backend(httpcore2.NetworkBackend):
    """Opens streams by the openers it was given until one succeeds; host and port are not looked at.

    The one that succeeded last comes first: a host that is gone costs its time once, not for every connection.
    """

    def __init__(self, openers: Sequence[Opener]) -> None:
        self._openers = tuple(openers)
        self._first = 0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the opener has its own deadline
        local_address: str | None = None,  # noqa: ARG002 - of no meaning for a tunnel
        socket_options: Iterable[object] | None = None,  # noqa: ARG002 - of no meaning for a tunnel
    ) -> httpcore2.NetworkStream:
        reasons: list[str] = []
        numbers = range(len(self._openers))
        for number in (*numbers[self._first :], *numbers[: self._first]):
            try:
                stream = _Stream(self._openers[number]())
            except (KubeforgeError, OSError, EOFError) as error:
                reasons.append(str(error))
            else:
                self._first = number
                return stream
        raise httpcore2.ConnectError(f"{host}:{port}: " + "; ".join(reasons))


class TunnelTransport(httpx2.BaseTransport):
    """An httpx2 transport over tunnels.

    Args:
        openers: ways to the server, tried in this order, beginning with the one that led there last.
        context: verifies the server and carries the client's certificate.
    """

    def __init__(self, openers: Sequence[Opener], context: ssl.SSLContext | None = None) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context, max_connections=_CONNECTIONS, network_backend=_Backend(openers), retries=0
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; errors come out as httpx2's."""
        if not isinstance(request.stream, httpx2.SyncByteStream):
            raise TypeError("an asynchronous body on a synchronous transport")
        url = request.url
        with _raised_as_httpx():
            response = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    """A response's body."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _raised_as_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def get_plainly(opener: Opener, path: str, *, timeout: float = 5.0) -> tuple[int, str]:
    """GET a path of a local port that speaks plain HTTP: health and metrics.

    Returns:
        HTTP status and body; status 0 and the reason where nothing answers.
    """
    return _get(TunnelTransport([opener]), f"http://localhost{path}", timeout)


def get_unverified(opener: Opener, path: str, *, timeout: float = 5.0) -> tuple[int, str]:
    """GET a path of a health port over TLS without asking who answers, as the kubelet's probes do.

    Nothing is said to it but the path, and its answer is taken for no more than a sign of life.

    Returns:
        HTTP status and body; status 0 and the reason where nothing answers.
    """
    return _get(TunnelTransport([opener], _unverifying()), f"https://localhost{path}", timeout)


def served_certificate(opener: Opener, *, timeout: float = 5.0) -> bytes | None:
    """Return the certificate that a server shows, DER; None where no handshake comes about."""
    try:
        stream = _Stream(opener()).start_tls(_unverifying(), "localhost", timeout)
    except (httpcore2.TimeoutException, httpcore2.NetworkError, KubeforgeError, OSError, EOFError):
        return None
    try:
        shown: ssl.SSLObject = stream.get_extra_info("ssl_object")
        return shown.getpeercert(binary_form=True)
    finally:
        stream.close()


def _unverifying() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _get(transport: TunnelTransport, url: str, timeout: float) -> tuple[int, str]:
    with httpx2.Client(transport=transport, trust_env=False, timeout=timeout) as client:
        try:
            response = client.get(url)
        except httpx2.HTTPError as error:
            return 0, str(error)
    return response.status_code, response.text


@contextmanager
def _mapped(timeout: type[Exception], error: type[Exception]) -> Iterator[None]:
    """Turn a tunnel's errors into httpcore2's."""
    try:
        yield
    except TimeoutError as late:
        raise timeout(str(late)) from late
    except (OSError, EOFError, KubeforgeError) as broken:
        raise error(str(broken)) from broken


@contextmanager
def _raised_as_httpx() -> Iterator[None]:
    """Turn httpcore2's errors into httpx2's of the same name."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise getattr(httpx2, type(error).__name__, httpx2.TransportError)(str(error)) from error
