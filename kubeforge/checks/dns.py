"""One DNS question over a TCP stream. It does not follow referrals and does not ask again."""

from __future__ import annotations

import struct

from kubeforge.transport.base import ByteSocket

__all__ = ["lookup"]


def lookup(socket: ByteSocket, name: str, *, timeout: float, ipv6: bool = False) -> tuple[str, ...]:
    """Ask for a name's addresses.

    Args:
        socket: a stream to the server's TCP port.
        name: fully qualified.
        timeout: seconds each wait may take.
        ipv6: ask for AAAA instead of A.

    Raises:
        ValueError: the server says no, or its answer makes no sense.
        OSError: the connection broke or nothing came in time.
    """
    # imported here: a run without this check does not need it
    from dns import exception, message, rcode, rdatatype  # noqa: PLC0415

    kind = rdatatype.AAAA if ipv6 else rdatatype.A
    try:
        question = message.make_query(name, kind)
        socket.settimeout(timeout)
        socket.sendall(question.to_wire(prepend_length=True))
        (length,) = struct.unpack("!H", _exactly(socket, 2))
        answer = message.from_wire(_exactly(socket, length))
    except exception.DNSException as error:
        raise ValueError(f"the question or the answer makes no sense: {error}") from error
    if not question.is_response(answer):
        raise ValueError("the answer is not to our question")
    if answer.rcode() != rcode.NOERROR:
        raise ValueError(rcode.to_text(answer.rcode()))
    return tuple(str(record) for records in answer.answer if records.rdtype == kind for record in records)


def _exactly(socket: ByteSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = socket.recv(size - len(data))
        if not more:
            raise ValueError("the server closed the connection")
        data += more
    return data
