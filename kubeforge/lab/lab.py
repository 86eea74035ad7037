"""A lab as a whole: up, find. How it goes is in `removal`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from kubeforge.errors import LabError
from kubeforge.lab import (
    claims,
    commands,
    constants,
    image,
    inventory,
    locks,
    network,
    preflight,
    removal,
    sysctls,
)
from kubeforge.lab.host import Host
from kubeforge.lab.layout import LabPaths, labs_folder
from kubeforge.lab.process import replace_file
from kubeforge.lab.progress import Progress, Silent, timed
from kubeforge.lab.record import LabRecord, Shape, check_name, check_version
from kubeforge.spec.releases import RECOMMENDED

__all__ = ["Lab"]


class Lab:
    """Hosts in namespaces with a network of their own.

    As a context manager it is taken down at the end.

    Args:
        record: what the lab is.
        paths: its files.
    """

    def __init__(self, record: LabRecord, paths: LabPaths) -> None:
        self._record = record
        self._paths = paths

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def name(self) -> str:
        """The lab's name."""
        return self._record.name

    @property
    def record(self) -> LabRecord:
        """What the lab is."""
        return self._record

    @property
    def paths(self) -> LabPaths:
        """Where its files are."""
        return self._paths

    @property
    def inventory(self) -> Path:
        """Folder of its inventory: hosts.yml, cluster.yml."""
        return self._paths.inventory

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in inventory order."""
        return tuple(Host(self._record, self._paths, host) for host in self._record.hosts)

    def host(self, name: str) -> Host:
        """Return one host.

        Raises:
            LabError: the lab has no host of that name.
        """
        return Host(self._record, self._paths, self._record.host(name))

    def ssh_command(self, host: str, user: str = "root", command: Sequence[str] = ()) -> list[str]:
        """Return the ssh command that enters a host, its key checked strictly.

        Args:
            host: inventory name.
            user: `root`, or one of the users with sudo.
            command: what to run there; empty: a shell.
        """
        chosen = self._record.host(host)
        return ["ssh", "-F", str(self._paths.ssh_config), "-l", user, chosen.name, *_remote(command)]

    @property
    def is_up(self) -> bool:
        """Whether its network stands; single hosts may be off all the same."""
        return network.is_up(self._record, self._paths)

    @classmethod
    def all(cls) -> list[Lab]:
        """Return every lab there is, by name."""
        folders = [file.parent for file in sorted(labs_folder().glob("*/lab.json"))]
        records = [(LabRecord.read(LabPaths(folder=folder).record), folder) for folder in folders]
        return [cls(record, LabPaths(folder=folder)) for record, folder in records if record is not None]

    @classmethod
    def find(cls, name: str | None = None) -> Lab:
        """Return a lab that exists.

        Args:
            name: its name; None: the only one that is up.

        Raises:
            LabError: there is none of this name, or no name was given and not exactly one is up.
        """
        labs = [lab for lab in cls.all() if (lab.name == name if name else lab.is_up)]
        if len(labs) == 1:
            return labs[0]
        if labs:
            names = ", ".join(lab.name for lab in labs)
            raise LabError(f"several labs are up: {names}", remedy="say which one: --lab NAME")
        what = f"there is no lab {name!r}" if name else "no lab is up"
        raise LabError(what, remedy="kubeforge lab up" + (f" {name}" if name else ""))

    @classmethod
    def up(
        cls,
        name: str = constants.DEFAULT_NAME,
        *,
        control_planes: int = 1,
        workers: int = 2,
        etcd: int = 0,
        load_balancers: int = 0,
        kubernetes: str = RECOMMENDED,
        progress: Progress | None = None,
    ) -> Lab:
        """Make a lab, or complete one: what is there stays, what is missing is made, what is off is started.

        Args:
            name: the lab's, and its cluster's.
            control_planes: hosts for control planes.
            workers: hosts for workers.
            etcd: hosts for etcd alone; 0: etcd runs on the control planes.
            load_balancers: hosts for balancers of the API alone.
            kubernetes: version for a new lab's cluster.yml.
            progress: told what happens.

        Returns:
            The lab; every host answers SSH.

        Raises:
            LabError: it cannot run here, or a host did not come up (the lab stays, to be looked at).
        """
        check_name(name)
        check_version(kubernetes)
        shape = Shape(control_planes=control_planes, workers=workers, etcd=etcd, load_balancers=load_balancers)
        shape.check()
        listener = progress or Silent()
        preflight.check_machine()
        paths = LabPaths.of(name)
        with locks.hold(paths.folder):
            try:
                with timed(listener, "the machine is fit"):
                    preflight.check_kernel(paths.folder)
                lab = cls(cls._settle(paths, shape, kubernetes, listener), paths)
            except BaseException:
                if not paths.record.exists():  # nothing has begun
                    removal.clear(paths)
                    paths.folder.rmdir()
                raise
            lab._prepare(listener)
            lab._start(listener)
        return lab

    @classmethod
    def _settle(cls, paths: LabPaths, shape: Shape, kubernetes: str, progress: Progress) -> LabRecord:
        """Return the lab's record, after its network has been made if it did not stand."""
        known = LabRecord.read(paths.record)
        if known is None:
            removal.clear(paths)  # what a crash may have left
        root = Path(known.image) if known else None
        if root is None or not root.is_dir():
            root = image.ensure(progress)
        with timed(progress, "network"), removal.machine_lock() as machine:
            sysctls.raise_limits(progress, machine)
            number = known.number if known else network.first_free(network.used_networks(), claims.claims(machine))
            claims.claim(machine, number, paths.folder)
            record = LabRecord(
                name=paths.name,
                number=number,
                shape=_grown(known, shape) if known else shape,
                kubernetes=known.kubernetes if known else kubernetes,
                image=str(root),
                readdressed=known.readdressed if known else {},
            )
            record.write(paths.record)
            if not network.is_up(record, paths):
                # hosts on a broken network cannot be mended from outside: they start again
                removal.end_processes(record.number)
                network.remove(record.number, paths)
                network.make(record, paths)
        return record

    def _prepare(self, progress: Progress) -> None:
        with timed(progress, "keys, file systems, inventory"):
            self._paths.hosts.mkdir(mode=0o700, exist_ok=True)
            authorized = _key(self._paths.key)
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(lambda host: host.prepare(authorized), self.hosts))
            _write_keys(self.hosts, self._paths)
            inventory.write(self._record, self._paths)
            _give_to_caller(self._paths)

    def _start(self, progress: Progress) -> None:
        with timed(progress, f"boot of {len(self.hosts)} hosts"):
            monitors = [(host, host.launch()) for host in self.hosts]
            failures = []
            for host, monitor in monitors:
                try:
                    host.launched(monitor)
                except LabError as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            for host in self.hosts:
                host.wait()

    def readdress(self, name: str, address: str | None = None) -> str:
        """Give a host another address, now and at its later boots, as DHCP may; the inventory says the new one.

        What runs on the host is told nothing.

        Args:
            name: of the host, which may be off.
            address: of the lab's network; None: one that no host has, now or at first.

        Returns:
            The address.

        Raises:
            LabError: there is no such host, or it cannot have that address.
        """
        with locks.hold(self._paths.folder):
            before = self._record.host(name)
            record = self._record.with_address(name, address)
            record.write(self._paths.record)
            self._record = record
            host = record.host(name)
            init = self.host(name).init
            if init is not None and host.address != before.address:
                network.readdress(host, before.address, record.number, init.pid)
            _write_keys(self.hosts, self._paths)
            inventory.write(record, self._paths)
            _give_to_caller(self._paths)
        return host.address

    def down(self, progress: Progress | None = None) -> None:
        """Take the lab down and leave nothing behind."""
        removal.remove(self.name, progress)


def _grown(known: LabRecord, wanted: Shape) -> Shape:
    """Return the shape of an existing lab that may get more hosts, but never loses some."""
    for role in constants.ROLES:
        if wanted.of_role(role) < known.shape.of_role(role):
            raise LabError(
                f"lab {known.name} has {known.shape.of_role(role)} hosts of role {role}: "
                f"it can grow, but not shrink to {wanted.of_role(role)}",
                remedy=f"kubeforge lab down {known.name}, then up",
            )
    return wanted


def _write_keys(hosts: Sequence[Host], paths: LabPaths) -> None:
    """Write known_hosts: under which address which keys are to be expected."""
    lines = [line for host in hosts for line in host.public_keys()]
    replace_file(paths.known_hosts, "\n".join(lines) + "\n")


def _remote(command: Sequence[str]) -> list[str]:
    """One word is a line for the host's shell, as with ssh; several are one command with its arguments."""
    if len(command) < 2:
        return list(command)
    return [shlex.join(command)]


def _key(path: Path) -> str:
    """Return the public half of the lab's key pair, made on first use."""
    public = path.with_name(f"{path.name}.pub")
    if not public.exists():
        draft = path.with_name(f".{path.name}")
        for leftover in (draft, draft.with_name(f"{draft.name}.pub")):
            leftover.unlink(missing_ok=True)
        commands.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubeforge lab", "-f", draft])
        draft.rename(path)
        draft.with_name(f"{draft.name}.pub").rename(public)  # last: its presence says that both are there
    return public.read_text()


def _give_to_caller(paths: LabPaths) -> None:
    """Let the user who called sudo use the key and change the inventory."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user and group:
        for path in (paths.key, paths.inventory, *paths.inventory.iterdir()):
            os.chown(path, int(user), int(group))
