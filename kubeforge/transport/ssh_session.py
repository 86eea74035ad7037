"""One SSH session to one host: TCP or a jump's channel, key exchange, strict host key.

Does not log in (ssh_auth.py), run commands (ssh_exec.py), or remember anything between sessions (ssh_access.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, cMSG_CHANNEL_REQUEST

from kubeforge.errors import ConnectionFailed
from kubeforge.transport.known_hosts import HostKeyCheck, KnownHosts
from kubeforge.transport.ssh_channel import BROKEN, ChannelSocket
from kubeforge.transport.ssh_config import Endpoint
from kubeforge.transport.ssh_userauth import EagerTransport

__all__ = ["Session", "exit_signal", "hop_channel", "start_command", "start_session"]

_LOG: Final = "kubeforge.ssh"
_WINDOW: Final = 1 << 24  # bytes a channel may be ahead of its reader: 2 MiB stops at 30 MB/s with 50 ms round trip
_IDLE_CHECK: Final = 2.0  # seconds; paramiko's 0.1 wakes every open connection ten times a second
_SHA1_SIGNATURES: Final = ("ssh-rsa", "ssh-dss")


def _handle_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Keep `exit-signal` (RFC 4254, section 6.10), which paramiko drops; leave all else to paramiko."""
    peek = paramiko.Message(message.get_remainder())
    if peek.get_text() == "exit-signal":
        peek.get_boolean()
        channel.exit_signal = peek.get_text()  # type: ignore[attr-defined]  # read by exit_signal() below
        channel.status_event.set()
        return
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]  # noqa: SLF001 - what it wraps


def exit_signal(channel: paramiko.Channel) -> str | None:
    """Return the signal that ended the channel's command, without SIG (`KILL`), or None."""
    return getattr(channel, "exit_signal", None)


def start_command(session: Session, channel: paramiko.Channel, command: str, timeout: float) -> None:
    """Ask for `command` (RFC 4254, section 6.5) as Channel.exec_command does, which waits for the answer for ever.

    Raises:
        TimeoutError: no answer came in time.
        paramiko.SSHException: the host refuses, or the connection broke.
    """
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command)
    channel._event_pending()  # type: ignore[attr-defined]  # noqa: SLF001 - as exec_command
    session._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001 - as exec_command
    if not channel.event.wait(timeout):
        raise TimeoutError
    if not channel.event_ready:
        raise session.get_exception() or paramiko.SSHException("the channel was closed")


class Session(EagerTransport):
    """paramiko's transport that does not lose exit signals, and stays silent unless somebody set up logging."""

    _channel_handler_table: ClassVar[Mapping[int, Callable[[Any, Any], None]]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001 - see _handle_request
        MSG_CHANNEL_REQUEST: _handle_request,
    }

    def __init__(self, sock: Any) -> None:
        super().__init__(sock, default_window_size=_WINDOW)
        self.set_log_channel(_LOG)
        logging.getLogger(_LOG).addHandler(_SILENT)

    def relax(self) -> None:
        """Look for a closed connection less often than during the login; data still wakes it at once."""
        self.sock.settimeout(_IDLE_CHECK)


_SILENT: Final = logging.NullHandler()


def hop_channel(jump: Session, endpoint: Endpoint, *, via: str) -> ChannelSocket:
    """Return a TCP stream to `endpoint` from the jump host.

    Raises:
        ConnectionFailed: the jump host cannot or may not connect there.
    """
    where = f"{endpoint.address} port {endpoint.port}"
    try:
        return ChannelSocket(
            jump.open_channel(
                "direct-tcpip", (endpoint.address, endpoint.port), ("127.0.0.1", 0), timeout=endpoint.timeout
            )
        )
    except paramiko.ChannelException as error:
        cause = f"the jump host {via} cannot connect to {where}: {error.text}"
        remedy = "see that the host is up and sshd runs; the jump host's sshd must allow TCP forwarding"
    except BROKEN:
        cause = f"the jump host {via} got no answer from {where} within {endpoint.timeout:g} s"
        remedy = "see that the host is up and the jump host reaches it; ansible_timeout sets the limit"
    raise ConnectionFailed(cause, host=endpoint.name, step="connect", remedy=remedy)


def start_session(sock: Any, endpoint: Endpoint, known: KnownHosts, *, via: str | None = None) -> Session:
    """Exchange keys over `sock` and check the host's key.

    Args:
        sock: connected; closed when this fails.
        endpoint: where it leads.
        known: known host keys.
        via: the jump host, for messages.

    Raises:
        HostKeyRefused: the key is unknown, changed or revoked.
        ConnectionFailed: no SSH server answers in time, or it shares no algorithm.
    """
    name = endpoint.host_key_alias or endpoint.address
    port = 22 if endpoint.host_key_alias else endpoint.port
    check = HostKeyCheck(
        host=endpoint.name,
        address=name,
        port=port,
        rows=known.lookup(name, port),
        file=str(endpoint.known_hosts[0]),
        via=via,
    )
    session: Session | None = None
    try:
        session = Session(sock)
        session.banner_timeout = session.auth_timeout = endpoint.timeout
        session.handshake_timeout = 2 * endpoint.timeout  # start_client's own limit comes first, and says more
        _prefer(session, check)
        session.start_client(timeout=endpoint.timeout)
        offered = session.get_remote_server_key()
        check.verify(offered.get_name(), offered.asbytes())
    except BaseException as error:
        if session is not None:
            session.close()
        sock.close()
        if isinstance(error, paramiko.SSHException | EOFError | OSError):
            raise _failure(error, endpoint, heard=bool(session and session.remote_version)) from error
        raise
    return session


def _prefer(session: Session, check: HostKeyCheck) -> None:
    """Ask for known key types first and for AES-GCM first (805 MB/s in bulk instead of 552).

    Unknown types stay behind the known ones, so that a refusal can show the fingerprint of what was offered.
    """
    options = session.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda cipher: "gcm" not in cipher)
    safe = [kind for kind in options.key_types if kind not in _SHA1_SIGNATURES and "cert" not in kind]
    options.key_types = sorted(safe, key=lambda kind: _key_type(kind) not in check.kinds)


def _key_type(algorithm: str) -> str:
    """Return the type of key that signs by `algorithm` (RFC 8332: an ssh-rsa key signs by rsa-sha2-*)."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _failure(error: Exception, endpoint: Endpoint, *, heard: bool) -> ConnectionFailed:
    """Return the error in words; `heard`: a server's banner came."""
    where = f"{endpoint.address} port {endpoint.port}"
    text = str(error)
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        cause = f"its sshd shares no algorithm with kubeforge: {text}"
        remedy = "allow a current one in its sshd_config (curve25519-sha256, aes128-gcm, ssh-ed25519)"
    elif not heard or "protocol version" in text.lower():
        cause = f"{where} accepts the connection, but no SSH server answered within {endpoint.timeout:g} s"
        remedy = "see that sshd listens on that port and the host is not overloaded (MaxStartups)"
    elif "No existing session" in text:
        cause = f"{where} did not finish the key exchange within {endpoint.timeout:g} s"
        remedy = "the host may be overloaded, or packets of full size get lost (MTU); ansible_timeout sets the limit"
    else:
        cause = f"{where} hung up before the login"
        remedy = "look at sshd's log on the host; it may refuse this address, or be over MaxStartups"
    return ConnectionFailed(cause, host=endpoint.name, step="connect", remedy=remedy)
