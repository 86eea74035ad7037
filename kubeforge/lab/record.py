"""What a lab is, as its lab.json says it. Pure, but for reading and writing that one file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from kubeforge.errors import LabError
from kubeforge.lab import constants
from kubeforge.lab.process import replace_file

__all__ = ["HostRecord", "LabRecord", "Shape", "addresses", "hosts_of", "virtual_address"]

_ANY: Final = "leave the address out: then one is taken that is free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many hosts of each role."""

    control_planes: int = 1
    workers: int = 2
    etcd: int = 0
    load_balancers: int = 0

    def of_role(self, role: str) -> int:
        """Return the number of hosts of one role of constants.ROLES."""
        counts = {
            "cp": self.control_planes,
            "worker": self.workers,
            "etcd": self.etcd,
            "balancer": self.load_balancers,
        }
        return counts[role]

    def check(self) -> None:
        """Refuse what no lab can have.

        Raises:
            LabError: no host at all, a negative number, or more than the subnet has addresses for.
        """
        for role, (_, most) in constants.ROLES.items():
            if not 0 <= self.of_role(role) <= most:
                raise LabError(
                    f"a lab has 0 to {most} hosts of role {role}, not {self.of_role(role)}",
                    remedy="choose another number",
                )
        if not any(self.of_role(role) for role in constants.ROLES):
            raise LabError("a lab without hosts is nothing", remedy="give --control-planes or --workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """One host of a lab.

    Args:
        name: inventory name, and the host's own.
        role: one of constants.ROLES.
        address: IPv4 address.
        mac: the same at every boot, as on a real machine: else the neighbours' tables are wrong after a reboot.
    """

    name: str
    role: str
    address: str
    mac: str


def addresses(number: int) -> tuple[str, str]:
    """Return the addresses of the gateway and of the machine itself in the network of lab `number`."""
    return f"10.77.{number}.{constants.GATEWAY}", f"10.77.{number}.{constants.UPLINK}"


def virtual_address(number: int) -> str:
    """Return the address that the balancers of lab `number` share; no host has it of its own."""
    return f"10.77.{number}.{constants.VIRTUAL}"


def hosts_of(shape: Shape, number: int) -> tuple[HostRecord, ...]:
    """Return the hosts of a lab: control planes, etcd, workers, balancers; one name always has one address."""
    shape.check()
    hosts = []
    for role, (first, _) in constants.ROLES.items():
        for index in range(1, shape.of_role(role) + 1):
            last = first + index
            hosts.append(
                HostRecord(
                    name=f"{constants.PREFIXES[role]}{index}",
                    role=role,
                    address=f"10.77.{number}.{last}",
                    # 02: locally administered
                    mac=f"02:4b:46:4c:{number:02x}:{last:02x}",
                )
            )
    return tuple(hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """A lab.

    Args:
        name: chosen by the user.
        number: 0 to 255, its own on this machine; names its subnet, links and cgroups.
        shape: how many hosts.
        kubernetes: version that its cluster.yml was written with.
        image: folder of the root file system that its hosts share.
        readdressed: host -> address it has been given in place of its first one.
    """

    name: str
    number: int
    shape: Shape
    kubernetes: str
    image: str
    readdressed: Mapping[str, str] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[HostRecord, ...]:
        """All hosts, in inventory order."""
        first = hosts_of(self.shape, self.number)
        return tuple(replace(host, address=self.readdressed.get(host.name, host.address)) for host in first)

    def with_address(self, name: str, address: str | None) -> LabRecord:
        """Return the lab with another address for one of its hosts.

        Args:
            name: of the host.
            address: of the lab's subnet; None: one that no host has, now or at first.

        Raises:
            LabError: there is no such host, or the address is not free or not of the subnet.
        """
        before = self.host(name)
        taken = {host.address: host.name for host in self.hosts if host.name != name}
        gateway, own = addresses(self.number)
        taken |= {gateway: "the gateway", own: "this machine", virtual_address(self.number): "the balancers"}
        first = {host.address for host in hosts_of(self.shape, self.number)}
        chosen = address or self._free({*taken, *first, before.address})
        if chosen in taken:
            raise LabError(f"{chosen} is {taken[chosen]}'s", host=name, step="readdress", remedy=_ANY)
        subnet = constants.SUBNET.format(number=self.number)
        if chosen not in map(str, ip_network(subnet).hosts()):
            raise LabError(f"{chosen} is not in the lab's network {subnet}", host=name, step="readdress", remedy=_ANY)
        return replace(self, readdressed={**self.readdressed, name: chosen})

    def _free(self, taken: set[str]) -> str:
        """Return the highest address of the subnet that nobody has."""
        subnet = ip_network(constants.SUBNET.format(number=self.number))
        free = (str(one) for one in reversed(list(subnet.hosts())) if str(one) not in taken)
        found = next(free, None)
        if found is None:
            raise LabError(
                "no address of the lab's network is free", step="readdress", remedy="make the lab with fewer hosts"
            )
        return found

    @property
    def uplink(self) -> str:
        """Name of the link by which the machine itself is in the lab's network."""
        return constants.UPLINK_NAME.format(number=self.number)

    @property
    def cgroup(self) -> str:
        """Name of the lab's cgroup in every hierarchy."""
        return constants.CGROUP_NAME.format(number=self.number)

    def host(self, name: str) -> HostRecord:
        """Return one host.

        Raises:
            LabError: the lab has no host of that name.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"lab {self.name} has no host {name!r}", remedy=f"choose one of {known}")

    def write(self, path: Path) -> None:
        """Write lab.json in one step."""
        replace_file(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> LabRecord | None:
        """Read lab.json; None where there is none.

        Raises:
            LabError: the file is not one of ours.
        """
        try:
            fields = json.loads(path.read_text())
            return cls(**{**fields, "shape": Shape(**fields["shape"])})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise LabError(
                f"{path} is not a lab's record ({error})",
                remedy=f"kubeforge lab down {path.parent.name}",
            ) from error


def check_name(name: str) -> None:
    """Refuse a name that cannot be a lab's and a cluster's.

    Raises:
        LabError: it has other characters than lower-case letters, digits and dashes, or is too long.
    """
    if not re.fullmatch(constants.NAME_PATTERN, name):
        raise LabError(
            f"{name!r} cannot be a lab's name",
            remedy="use lower-case letters, digits and dashes, a letter first, at most 32 characters",
        )


def check_version(version: str) -> None:
    """Refuse what is no Kubernetes version.

    Raises:
        LabError: it is not of the form 1.MINOR.PATCH.
    """
    if not re.fullmatch(constants.VERSION_PATTERN, version):
        raise LabError(f"{version!r} is no Kubernetes version", remedy="write it like 1.36.3")
