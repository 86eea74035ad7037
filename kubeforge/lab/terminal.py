"""A host's console: a terminal whose other end the monitor reads into a log.

systemd writes its states and its last words only to a terminal, so a plain file would stay empty.
"""

from __future__ import annotations

import os
import select
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Terminal"]

_CHUNK: Final = 65536
_LOG_LIMIT: Final = 4 << 20
"""Bytes after which a log begins anew: a host that shouts for days shall not fill the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A pseudo terminal.

    Args:
        master: our end.
        slave: the host's end; kept open here too, so that reading goes on when the host closes it.
        path: the host's end as a file of the machine.
    """

    master: int
    slave: int
    path: Path

    @classmethod
    def open(cls) -> Terminal:
        """Make one that passes everything on unchanged."""
        master, slave = os.openpty()
        tty.setraw(slave)
        return cls(master=master, slave=slave, path=Path(os.ttyname(slave)))

    def close(self) -> None:
        """Close both ends."""
        os.close(self.master)
        os.close(self.slave)

    def follow(self, pid: int, log: Path) -> int:
        """Write all that is shown to a log until a child process ends.

        Args:
            pid: the child.
            log: file to append to.

        Returns:
            The child's wait status.
        """
        child = os.pidfd_open(pid)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            waiting = True
            while waiting:
                readable, _, _ = select.select([self.master, child], [], [])
                if self.master in readable:
                    _append(output, os.read(self.master, _CHUNK))
                else:  # only once everything is read: its last words matter most
                    waiting = child not in readable
        finally:
            os.close(output)
            os.close(child)
        return os.waitpid(pid, 0)[1]


def _append(output: int, data: bytes) -> None:
    if os.fstat(output).st_size > _LOG_LIMIT:
        os.ftruncate(output, 0)
    os.write(output, data.replace(b"\r\n", b"\n"))
