"""What runs on a host and how: command lines of processes, health of kubelet and containerd. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from kubeforge.cluster.tunnel import get_plainly
from kubeforge.spec.paths import BIN, COMM
from kubeforge.transport.base import Remote

__all__ = ["Process", "command_lines", "lacks_command", "lacks_containerd", "lacks_kubelet", "processes"]

_LOOPBACK: Final = "127.0.0.1"
_CTR: Final = (f"{BIN}/ctr", "--connect-timeout", "2s", "version")
# $1: name; then files. First the host's clocks and the files' times, then of each process its start and its command,
# one argument a line, after a sign that tells an empty one from the end; a line break inside of one becomes a space.
_COMMAND_LINES: Final = r"""
name=$1; shift
read -r up rest </proc/uptime
echo "$up $(date +%s.%N) $(getconf CLK_TCK)"
[ $# -eq 0 ] || stat -c %.9Y -- "$@"
echo
for file in $(grep -lxsF -- "$name" /proc/[0-9]*/comm); do
    sed 's/^.*) //' "${file%comm}stat" | cut -d ' ' -f 20
    tr '\n\0' ' \n' <"${file%comm}cmdline" | sed 's/^/=/'
    echo
done 2>/dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that runs.

    Args:
        command: program (without folders, as it was called) and arguments.
        fresh: whether it was started after the files in question were written.
    """

    command: tuple[str, ...]
    fresh: bool


def processes(remote: Remote, name: str, *, files: Sequence[str] = ()) -> tuple[Process, ...]:
    """Return the processes of a program.

    Args:
        remote: the host.
        name: of the program, without folders.
        files: what it reads when it starts; one that is missing is not looked at.
    """
    argv = ["sh", "-c", _COMMAND_LINES, "sh", name[:COMM], *files]
    head, *blocks = remote.run(argv, expect=(0, 1)).stdout.decode(errors="replace").split("\n\n")
    clocks, *times = head.splitlines()
    up, now, ticks = map(float, clocks.split())
    youngest = min((now - float(time) for time in times), default=up)
    found = (block.split("\n") for block in blocks if block.strip())
    return tuple(
        Process(command=tuple(word[1:] for word in command), fresh=up - float(start) / ticks < youngest)
        for start, *command in found
        if start.isdigit()  # one that ends while it is looked at says half of it
    )


def command_lines(remote: Remote, name: str) -> list[list[str]]:
    """Return program and arguments of every process of a program.

    Args:
        remote: the host.
        name: of the program, without folders.
    """
    return [list(process.command) for process in processes(remote, name)]


def lacks_command(remote: Remote, command: Sequence[str], *, files: Sequence[str] = ()) -> str | None:
    """Say how the processes of a program differ from the one that shall run; None where one is as it shall be.

    Another of its name beside it is none of our business: the kubelet ends the old pod before it starts the new one.

    Args:
        remote: the host.
        command: program (without folders) and arguments, as a manifest says them.
        files: what it reads when it starts; it must be younger than they are.
    """
    name = command[0]
    running = processes(remote, name, files=files)
    if not running:
        return f"{name} does not run"
    alike = [process for process in running if process.command == tuple(command)]
    if not alike:
        return f"{name} still runs with other arguments"
    return None if any(process.fresh for process in alike) else f"{name} still runs as it did before the change"


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


def lacks_containerd(remote: Remote) -> str | None:
    """Say why containerd does not answer on its socket; None where it does."""
    asked = remote.run(_CTR, expect=range(256))
    if asked.status == 0:
        return None
    return f"containerd does not answer: {(asked.stderr or asked.stdout).decode(errors='replace').strip()[-200:]}"
