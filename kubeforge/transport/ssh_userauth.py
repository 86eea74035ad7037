"""The login's protocol (RFC 4252) in one round trip instead of two.

paramiko asks for the service `ssh-userauth`, waits until it is granted, and only then sends what it logs in with. The
answer says nothing that the login needs, so here both are sent at once; a server that grants no login hangs up, as it
would before. The key exchange is over and the host's key was checked before any of this (ssh_session.start_session).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST
from paramiko.transport import ServiceRequestingTransport

__all__ = ["EagerTransport"]

# By default paramiko signs with SHA-1 by an RSA key when the server's list (RFC 8308) is not there yet.
_NEVER: Final = {"pubkeys": ["ssh-rsa"]}


class EagerTransport(ServiceRequestingTransport):
    """paramiko's transport that does not wait for the login service to be granted."""

    def __init__(self, sock: Any, *, default_window_size: int) -> None:
        super().__init__(sock, default_window_size=default_window_size, disabled_algorithms=_NEVER)

    def ensure_session(self) -> None:
        """Ask for the login service, once.

        Raises:
            paramiko.SSHException: no keys were exchanged, or the connection is gone.
        """
        if not (self.is_active() and self.initial_kex_done):
            raise paramiko.SSHException("No existing session")
        if self.auth_handler is None:
            request = paramiko.Message()
            request.add_byte(cMSG_SERVICE_REQUEST)
            request.add_string("ssh-userauth")
            self.auth_handler = self.get_auth_handler()
            self._send_message(request)  # type: ignore[attr-defined]  # as the method that this replaces

    def get_auth_handler(self) -> AuthOnlyHandler:
        """Return what speaks the login's protocol."""
        return _EagerHandler(self)


class _EagerHandler(AuthOnlyHandler):
    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[paramiko.Message], None] | None = None
    ) -> list[str]:
        """Ask to be let in and wait for the answer.

        As paramiko's, which makes the event after sending, and so waits in vain for an answer that was quicker.
        """
        self.auth_method, self.username = method, username
        self.auth_event = threading.Event()
        request = paramiko.Message()
        request.add_byte(cMSG_USERAUTH_REQUEST)
        request.add_string(username)
        request.add_string("ssh-connection")
        request.add_string(method)
        if finish_message is not None:
            finish_message(request)
        self.transport._send_message(request)  # type: ignore[attr-defined]  # noqa: SLF001 - as paramiko's
        return self.wait_for_response(self.auth_event)
