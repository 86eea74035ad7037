"""The process that outlives `kubeforge lab up`: it boots one host, and again whenever the host reboots.

Started as `python -m`-like by host.start: the first process waits until the host's init runs, says how that went and
ends; its child stays. It never is in the host's cgroups or namespaces. The host's init dies with it (PDEATHSIG), so a
host without its monitor does not exist. No third-party import here: one of these runs per host.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from kubeforge.errors import KubeforgeError, LabError
from kubeforge.lab import cgroups, constants, locks, network
from kubeforge.lab.boot import Boot, become_init
from kubeforge.lab.cgroups import Hierarchy
from kubeforge.lab.layout import LabPaths
from kubeforge.lab.process import Identity
from kubeforge.lab.record import LabRecord
from kubeforge.lab.syscalls import Namespace, set_namespace, unshare
from kubeforge.lab.terminal import Terminal

__all__ = ["Monitor", "main"]

_STARTED = b"1"


def main(arguments: list[str]) -> int:
    """Start one host.

    Args:
        arguments: the lab's folder, the host's name.

    Returns:
        0 once the host's init runs; 1 where it does not, with the reason on standard error.
    """
    folder, name = arguments
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        _stay(LabPaths(folder=Path(folder)), name, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    if answer == _STARTED:
        return 0
    os.write(2, answer or b"the monitor was killed\n")
    return 1


def _stay(paths: LabPaths, name: str, write: int) -> NoReturn:
    pipes = [write]

    def tell(answer: bytes) -> None:
        while pipes:  # once: at the host's second boot the one who asked is long gone
            pipe = pipes.pop()
            with suppress(BrokenPipeError):
                os.write(pipe, answer)
            os.close(pipe)

    code = 1
    try:
        os.setsid()
        _redirect(paths.host(name).monitor_log)
        Monitor(paths, name).run(lambda: tell(_STARTED))
        code = 0
    except (KubeforgeError, OSError) as error:
        say(str(error))
        tell(f"{error}\n".encode())
    finally:
        os._exit(code)


def _redirect(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def say(text: str) -> None:
    """Write one line to the monitor's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


class Monitor:
    """Boots one host until it is powered off or killed.

    Args:
        paths: the lab's files.
        name: the host's name.

    Raises:
        LabError: the lab is gone, or the host has a monitor already.
    """

    def __init__(self, paths: LabPaths, name: str) -> None:
        self._paths = paths
        self._files = paths.host(name)
        lock = locks.try_hold(self._files.folder, patience=2.0)
        if lock is None:
            raise LabError("it has a monitor already, or no folder", host=name, step="start")
        self._lock = lock
        self._where = cgroups.bases()
        cgroups.join(cgroups.make(self._where, self._record().cgroup, constants.MONITORS))
        # read once more: `down` removes the record first and then kills whoever is in the cgroup, so that either
        # it finds this process there or this process sees that the lab is gone
        self._lab = self._record()
        self._host = self._lab.host(name)

    def _record(self) -> LabRecord:
        record = LabRecord.read(self._paths.record)
        if record is None:
            raise LabError(f"lab {self._paths.name} is gone", host=self._files.name, step="start")
        return record

    def run(self, started: Callable[[], None]) -> None:
        """Boot the host as often as it reboots.

        Args:
            started: called each time its init runs.

        Raises:
            LabError: it reboots in a loop, or could not be started.
        """
        quick, (most, short) = 0, constants.BOOT_LOOP
        while True:
            begun = time.monotonic()
            status = self._boot_once(started)
            ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            say(f"init ended: status {status}, signal {ended_by}")
            if ended_by != signal.SIGHUP:  # what reboot(2) does to a pid namespace's init; power-off: SIGINT
                return
            quick = quick + 1 if time.monotonic() - begun < short else 0
            if quick >= most:
                raise LabError("it reboots again and again", host=self._host.name, remedy="see its console.log")

    def _boot_once(self, started: Callable[[], None]) -> int:
        self._lab = self._record()  # its address may be another one than at its last boot
        self._host = self._lab.host(self._host.name)
        folders = cgroups.make(self._where, self._lab.cgroup, self._host.name)
        terminal = Terminal.open()
        try:
            pid = self._start_init(folders, terminal)
            started()
            return terminal.follow(pid, self._files.console)
        finally:
            terminal.close()
            self._files.init.unlink(missing_ok=True)
            self._clean(folders)

    def _clean(self, folders: dict[Hierarchy, Path]) -> None:
        network.take_out(self._lab, self._paths, self._host)
        cgroups.kill(tuple(folders.values()))
        for folder in folders.values():
            cgroups.remove(folder)

    def _start_init(self, folders: dict[Hierarchy, Path], terminal: Terminal) -> int:
        ready_read, ready_write = os.pipe()
        proceed_read, proceed_write = os.pipe()
        unshare(Namespace.PID)
        pid = os.fork()
        if pid == 0:
            os.close(proceed_write)
            image = Path(self._lab.image)
            boot = Boot(host=self._files, image=image, cgroups=folders, console=terminal.path)
            become_init(boot, ready=ready_write, proceed=proceed_read)
        set_namespace("/proc/self/ns/pid", Namespace.PID)  # further children are the machine's again
        os.close(ready_write)
        os.close(proceed_read)
        try:
            if os.read(ready_read, 1) != b"1":
                raise LabError("its first process failed", host=self._host.name, step="boot")
            network.plug(self._lab, self._paths, self._host, pid)
            identity = Identity.of(pid)
            if identity is None:
                raise LabError("its first process is gone", host=self._host.name, step="boot")
            identity.write(self._files.init)
            os.write(proceed_write, b"1")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        finally:
            os.close(proceed_write)
            os.close(ready_read)
        return pid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
