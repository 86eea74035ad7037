"""Where a lab keeps what: paths only, nothing is read or written here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kubeforge.lab import constants

__all__ = ["HostPaths", "LabPaths", "labs_folder"]


def labs_folder() -> Path:
    """Return the folder that holds one folder per lab (environment: KUBEFORGE_LABS)."""
    # resolved, because the kernel's list of mounts is compared with paths below it
    return Path(os.environ.get(constants.LABS_VARIABLE) or constants.LABS_FOLDER).resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """Files of one host.

    Args:
        folder: the host's folder; the monitor's lock is a flock on it.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Inventory name."""
        return self.folder.name

    @property
    def upper(self) -> Path:
        """What differs from the shared root file system."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """Overlay's own scratch folder."""
        return self.folder / "work"

    @property
    def root(self) -> Path:
        """Where the host's own mount namespace mounts its root; empty seen from outside."""
        return self.folder / "root"

    @property
    def data(self) -> Path:
        """The host's /var/lib, on the machine's own disk."""
        return self.folder / "data"

    @property
    def sysctls(self) -> Path:
        """Files bound over kernel parameters that have no namespace."""
        return self.folder / "sysctl"

    @property
    def console(self) -> Path:
        """All that the host's init wrote to its console."""
        return self.folder / "console.log"

    @property
    def monitor_log(self) -> Path:
        """What the host's monitor has to say."""
        return self.folder / "monitor.log"

    @property
    def init(self) -> Path:
        """Identity of the host's init while it runs (process.Identity as JSON)."""
        return self.folder / "init.json"

    @property
    def unplugged(self) -> Path:
        """Exists while the host is cut off from the network."""
        return self.folder / "unplugged"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPaths:
    """Files of one lab.

    Args:
        folder: the lab's folder; its lock is a flock on it.
    """

    folder: Path

    @classmethod
    def of(cls, name: str) -> LabPaths:
        """Return the paths of the lab called `name`."""
        return cls(folder=labs_folder() / name)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.folder.name

    @property
    def record(self) -> Path:
        """What the lab is (record.LabRecord as JSON); first written, first removed."""
        return self.folder / "lab.json"

    @property
    def hosts(self) -> Path:
        """One folder per host."""
        return self.folder / "hosts"

    @property
    def inventory(self) -> Path:
        """The inventory folder: hosts.yml, cluster.yml."""
        return self.folder / "inventory"

    @property
    def key(self) -> Path:
        """Private key that enters every host."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' public keys, known before they boot."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """The hosts by name, for ssh -F and for tools that take such a file."""
        return self.folder / "ssh_config"

    def network(self, number: int) -> Path:
        """Return the file that the management network namespace is bound to."""
        return self.folder / f"net-{number}"

    @property
    def network_complete(self) -> Path:
        """Exists once the network has been made as a whole."""
        return self.folder / "network-complete"

    def host(self, name: str) -> HostPaths:
        """Return the files of one host."""
        return HostPaths(folder=self.hosts / name)
