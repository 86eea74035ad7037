"""A terminal on a host (`kubeforge ssh HOST`), or a command there: fabric over a session that is open and checked.

fabric never connects here, so its default policy, which accepts any host key, never applies.
"""

from __future__ import annotations

import sys

from kubeforge.errors import ConnectionLost
from kubeforge.transport.ssh import SshTransport

__all__ = ["interactive"]


def interactive(transport: SshTransport, command: str | None = None) -> int:
    """Connect this process's standard streams to a login shell, or to one command, until it ends.

    Where standard input is a terminal the host gets one too, of the same size.

    Args:
        transport: stays open afterwards.
        command: for the login shell; None: the shell itself.

    Returns:
        Its exit status.

    Raises:
        ConnectionLost: the connection broke.
    """
    from fabric import Config, Connection  # noqa: PLC0415 - 0.2 s
    from invoke.exceptions import ThreadException, UnexpectedExit  # noqa: PLC0415 - comes with fabric
    from paramiko import RejectPolicy  # noqa: PLC0415 - likewise

    connection = Connection(transport.host.replace(":", "_"), config=Config(lazy=True))
    connection.client.set_missing_host_key_policy(RejectPolicy())
    connection.transport = transport.session
    try:
        if command is None:
            result = connection.shell()
        else:
            result = connection.run(command, pty=sys.stdin.isatty(), warn=True, hide=False)
    except UnexpectedExit as error:  # `shell` cannot be told to take any exit status
        result = error.result
    except ThreadException as error:
        if transport.alive:
            raise
        raise ConnectionLost("the connection broke", host=transport.host, step="ssh", remedy="connect again") from error
    status: int = result.exited
    return status
