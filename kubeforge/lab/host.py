"""One host of a lab: its files, its life, and ways into it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import kubeforge
from kubeforge.errors import LabError
from kubeforge.lab import cgroups, commands, constants, locks, network, waiting
from kubeforge.lab.layout import HostPaths, LabPaths
from kubeforge.lab.process import Identity
from kubeforge.lab.record import HostRecord, LabRecord, addresses

__all__ = ["Host"]

_KEY_TYPES = ("ed25519", "ecdsa")
_REBOOT, _POWER_OFF = signal.SIGRTMIN + 5, signal.SIGRTMIN + 4
"""What systemd takes for `systemctl reboot` and `systemctl poweroff` (systemd(1), SIGNALS)."""
_MONITOR = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from kubeforge.lab.monitor import main; sys.exit(main(sys.argv[1:]))"
)
"""A module found by path, so that neither the environment nor site-packages are looked at."""


class Host:
    """One host of a lab.

    Args:
        lab: the lab's record.
        paths: the lab's files.
        record: the host's own record.
    """

    def __init__(self, lab: LabRecord, paths: LabPaths, record: HostRecord) -> None:
        self._lab = lab
        self._paths = paths
        self._record = record

    @property
    def name(self) -> str:
        """Inventory name, and the host's own."""
        return self._record.name

    @property
    def role(self) -> str:
        """`cp`, `etcd` or `worker`."""
        return self._record.role

    @property
    def address(self) -> str:
        """IPv4 address."""
        return self._record.address

    @property
    def files(self) -> HostPaths:
        """Where the host's files lie on the machine."""
        return self._paths.host(self.name)

    @property
    def init(self) -> Identity | None:
        """The host's init as the machine sees it; None while the host is off."""
        identity = Identity.read(self.files.init)
        return identity if identity is not None and identity.alive else None

    @property
    def monitored(self) -> bool:
        """Whether a monitor takes care of the host: it runs, or is about to boot, or is cleaned up after."""
        lock = locks.try_hold(self.files.folder)
        if lock is not None:
            locks.release(lock)
        return lock is None

    @property
    def state(self) -> str:
        """`off`, `running`, `partitioned` (running, cut off from the network); `unknown` for others than root."""
        try:
            if self.init is None:
                return "off"
            return "partitioned" if self.files.unplugged.exists() else "running"
        except PermissionError:
            return "unknown"

    def console(self, lines: int = constants.CONSOLE_TAIL) -> list[str]:
        """Return the last lines of the host's console."""
        try:
            text = self.files.console.read_text(errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-lines:]

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside the host, without SSH.

        Args:
            argv: the command.
            stdin: what it reads.
            check: fail when it does.

        Returns:
            Exit code and output of the command.

        Raises:
            LabError: the host is off, or the command failed and `check` is set.
        """
        done = subprocess.run(
            self._enter(argv), input=stdin, capture_output=True, text=True, errors="replace", check=False
        )
        if check and done.returncode != 0:
            raise LabError(
                f"{argv[0]} ended with {done.returncode}",
                host=self.name,
                step=" ".join(argv),
                evidence=done.stderr.splitlines()[-8:],
            )
        return done

    def _enter(self, argv: Sequence[str]) -> list[str]:
        init = self.init
        if init is None:
            raise LabError("it is off", host=self.name, remedy=f"kubeforge lab start {self.name}")
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root")
        clean = (
            "env",
            "--chdir=/",  # nsenter's own --wd would be the machine's
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LC_ALL=C",
        )
        return ["nsenter", f"--target={init.pid}", *spaces, "--", *clean, *argv]

    def prepare(self, authorized: str) -> None:
        """Make the host's files, all or nothing; what is there stays.

        Args:
            authorized: public key that enters the host.
        """
        if self.files.folder.exists():
            return
        draft = HostPaths(folder=self.files.folder.with_name(f".{self.name}"))
        commands.run(["rm", "-rf", "--one-file-system", draft.folder])
        for folder in (draft.upper, draft.work, draft.root, draft.sysctls):
            folder.mkdir(parents=True)
        image = Path(self._lab.image)
        draft.upper.chmod(0o755)
        commands.run(["cp", "-a", image / constants.REAL_DISK.lstrip("/"), draft.data])
        for name, value in constants.MACHINE_SYSCTLS.items():
            (draft.sysctls / name.replace("/", ".")).write_text(f"{value}\n")
        self._write_identity(draft.upper, image)
        for user in ("root", "home/ops", "home/opspw"):
            _write(draft.upper, image, f"{user}/.ssh/authorized_keys", authorized, 0o600)
        draft.folder.rename(self.files.folder)

    def _write_identity(self, upper: Path, image: Path) -> None:
        gateway, _ = addresses(self._lab.number)
        names = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{self.address}\t{self.name}\n"
        for path, text in {
            "etc/hostname": f"{self.name}\n",
            "etc/machine-id": f"{uuid.uuid4().hex}\n",
            "etc/hosts": names,
            "etc/resolv.conf": f"nameserver {gateway}\n",
        }.items():
            _write(upper, image, path, text, 0o644)
        folder = _folder(upper, image, "etc/ssh")
        for kind in _KEY_TYPES:
            key = folder / f"ssh_host_{kind}_key"
            commands.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{self.name}", "-f", key])

    def public_keys(self) -> list[str]:
        """Return the host's public keys, as lines for known_hosts."""
        folder = self.files.upper / "etc/ssh"
        texts = [(folder / f"ssh_host_{kind}_key.pub").read_text() for kind in _KEY_TYPES]
        return [f"{self.address} {' '.join(text.split()[:2])}" for text in texts]

    def launch(self) -> subprocess.Popen[str] | None:
        """Begin to start the host; `launched` waits for it. None where it runs already."""
        if self._await_monitor():  # also where a killed `up` had left a monitor that was about to boot it
            return None
        source = str(Path(kubeforge.__file__).parent.parent)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _MONITOR, source, str(self._paths.folder), self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )

    def launched(self, monitor: subprocess.Popen[str] | None) -> None:
        """Wait until the host's init runs.

        Raises:
            LabError: it could not be started.
        """
        if monitor is None:
            return
        _, complaint = monitor.communicate(timeout=constants.BOOT_DEADLINE)
        if monitor.returncode != 0:
            if self._await_monitor():  # somebody else's monitor was faster
                return
            raise LabError(
                "it could not be started",
                host=self.name,
                step="start",
                evidence=[*complaint.splitlines(), *self.console()],
                remedy="kubeforge lab down, then up",
            )

    def wait(self, deadline: float = constants.BOOT_DEADLINE) -> None:
        """Wait until the host's SSH server answers; not while it is cut off from the network.

        Raises:
            LabError: it did not answer in time, or the host went off; its console is the evidence.
        """
        if self.files.unplugged.exists():
            return
        waiting.until(
            lambda: self.init is None or waiting.answers_ssh(self.address),
            f"its SSH server answers at {self.address}",
            host=self.name,
            deadline=deadline,
            evidence=self.console,
        )
        if self.init is None:
            raise LabError("it went off while it booted", host=self.name, step="boot", evidence=self.console())

    def start(self) -> None:
        """Start the host if it is off, and wait until its SSH server answers.

        Raises:
            LabError: it does not come up, or its lab is down as a whole.
        """
        if not network.is_up(self._lab, self._paths):
            raise LabError(f"lab {self._lab.name} is down", host=self.name, remedy=f"kubeforge lab up {self._lab.name}")
        self.launched(self.launch())
        self.wait()

    def _await_monitor(self) -> bool:
        """Wait until no monitor cleans up after it or is about to boot it, and return whether it runs."""
        waiting.until(
            lambda: self.init is not None or not self.monitored,
            "its monitor ends, or has booted it",
            host=self.name,
            deadline=constants.STOP_DEADLINE,
            remedy="kubeforge lab down, then up",
        )
        if self.init is not None:
            return True
        for group in cgroups.find(self._lab.cgroup):
            leftover = group / self.name
            if leftover.exists():
                cgroups.kill([leftover])
                cgroups.remove(leftover)
        return False

    def reboot(self, *, wait: bool = True) -> None:
        """Reboot the host in order, as `systemctl reboot` does.

        Args:
            wait: until its SSH server answers again.

        Raises:
            LabError: it is off, or does not come back.
        """
        before = self.init
        if before is None or not before.send(_REBOOT):
            raise LabError("it is off", host=self.name, remedy=f"kubeforge lab start {self.name}")
        if wait:
            waiting.until(
                lambda: self.init not in {None, before} or not self.monitored,
                "it has booted again",
                host=self.name,
                evidence=self.console,
                deadline=constants.SHUTDOWN_DEADLINE + constants.BOOT_DEADLINE,
            )
            self.wait()

    def kill(self) -> None:
        """Cut the power: every process ends at once, nothing is written or said."""
        init = self.init
        if init is not None:
            init.send(signal.SIGKILL)
        waiting.until(lambda: self.init is None, "it is off", host=self.name, deadline=constants.STOP_DEADLINE)
        self._await_monitor()

    def stop(self) -> None:
        """Power the host off in order, as `systemctl poweroff` does."""
        init = self.init
        if init is not None:
            init.send(_POWER_OFF)
        waiting.until(
            lambda: self.init is None,
            "it is off",
            host=self.name,
            evidence=self.console,
            deadline=constants.SHUTDOWN_DEADLINE,
        )
        self._await_monitor()

    def partition(self) -> None:
        """Cut the host off from the network; it stays so over reboots, until `heal`."""
        network.set_port(self._lab, self._paths, self._record, connected=False)

    def heal(self) -> None:
        """Connect the host to the network again."""
        network.set_port(self._lab, self._paths, self._record, connected=True)


def _folder(upper: Path, image: Path, path: str) -> Path:
    """Make a folder of the upper layer with the owner and mode that the image's folder has.

    A folder that the image has not gets the owner of the one above it and is closed to all others.
    """
    folder = upper / path
    if folder.exists() or path in {"", "."}:
        return folder
    above = _folder(upper, image, str(Path(path).parent))
    folder.mkdir()
    model = image / path
    owner = (model if model.exists() else above).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    folder.chmod(owner.st_mode & 0o7777 if model.exists() else 0o700)
    return folder


def _write(upper: Path, image: Path, path: str, text: str, mode: int) -> None:
    folder = _folder(upper, image, str(Path(path).parent))
    file = folder / Path(path).name
    file.write_text(text)
    owner = folder.stat()
    os.chown(file, owner.st_uid, owner.st_gid)
    file.chmod(mode)
