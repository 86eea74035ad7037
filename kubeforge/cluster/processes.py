"""What runs on a host and how: command lines of processes, health of the kubelet. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx2

from kubeforge.cluster.tunnel import get_plainly
from kubeforge.transport.base import Remote

__all__ = ["command_lines", "lacks_command", "lacks_kubelet"]

_LOOPBACK: Final = "127.0.0.1"
_COMM: Final = 15  # characters of a name that the kernel keeps
_COMMAND_LINES: Final = r"""
for file in $(grep -lxsF -- "$1" /proc/[0-9]*/comm); do
    tr '\0' '\n' <"${file%comm}cmdline"
    echo
done 2>/dev/null
"""


def command_lines(remote: Remote, name: str) -> list[list[str]]:
    """Return program and arguments of every process of a program.

    Args:
        remote: the host.
        name: of the program, without folders.
    """
    told = remote.run(["sh", "-c", _COMMAND_LINES, "sh", name[:_COMM]], expect=(0, 1)).stdout.decode(errors="replace")
    return [block.splitlines() for block in told.split("\n\n") if block.strip()]


def lacks_command(remote: Remote, command: Sequence[str]) -> str | None:
    """Say how the processes of a program differ from the one that shall run; None where one is as it shall be.

    Another of its name beside it is none of our business: the kubelet ends the old pod before it starts the new one.

    Args:
        remote: the host.
        command: program (without folders) and arguments, as a manifest says them.
    """
    name = command[0]
    running = command_lines(remote, name)
    if not running:
        return f"{name} does not run"
    return None if list(command) in running else f"{name} still runs with other arguments"


def lacks_kubelet(remote: Remote, port: int) -> str | None:
    """Say why the kubelet is not healthy; None where it is.

    Args:
        remote: the host.
        port: its healthz port; 0: it has none, and nothing is asked.
    """
    if not port:
        return None
    status, body = get_plainly(lambda: remote.open_tunnel(_LOOPBACK, port), "/healthz")
    return None if status == httpx2.codes.OK else f"the kubelet is not healthy: {body.strip()[:200]}"
