"""A lab's network: one bridge in a namespace of its own, one port per host, one link to the machine.

The management namespace is held by a bind mount on a file in the lab's folder, not below /run/netns, which would
leave a mount of its own behind. The hosts' namespaces are held by their processes only, so nothing of them can be
left over. The machine itself is a neighbour in the lab's network by one veth pair: no other route, no forwarding.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from kubeforge.errors import LabError
from kubeforge.lab import commands, constants
from kubeforge.lab.layout import LabPaths
from kubeforge.lab.record import HostRecord, LabRecord, addresses
from kubeforge.lab.syscalls import unmount_lazily

__all__ = [
    "first_free",
    "is_up",
    "make",
    "mounts_below",
    "plug",
    "readdress",
    "remove",
    "remove_uplink",
    "set_port",
    "take_out",
    "used_networks",
]

_LINKS = Path("/sys/class/net")


def first_free(used: Iterable[ipaddress.IPv4Network], taken: Iterable[int]) -> int:
    """Return the first lab number whose subnet nobody uses.

    Args:
        used: networks of the machine's addresses and routes.
        taken: numbers of labs, up or not.

    Raises:
        LabError: every one is in use.
    """
    # a wide route that merely contains the subnet is no conflict: the subnet's own route is the narrower one
    networks = [network for network in used if network.prefixlen >= 16]
    numbers = set(taken)
    for number in constants.LAB_NUMBERS:
        subnet = ipaddress.IPv4Network(constants.SUBNET.format(number=number))
        if number not in numbers and not any(subnet.overlaps(network) for network in networks):
            return number
    raise LabError("no subnet of 10.77.0.0/16 is free", remedy="take a lab down: kubeforge lab down NAME")


def used_networks() -> list[ipaddress.IPv4Network]:
    """Return the networks of the machine's addresses and routes, from the kernel."""
    links = json.loads(commands.ip("-json", "-4", "address", "show") or "[]")
    routes = json.loads(commands.ip("-json", "-4", "route", "show", "table", "all") or "[]")
    found = [
        f"{address['local']}/{address['prefixlen']}"
        for link in links
        for address in link.get("addr_info", ())
        if "local" in address
    ]
    found += [
        route["dst"]
        for route in routes
        if route["dst"] != "default" and route.get("type") not in {"local", "broadcast"}
    ]
    return [ipaddress.IPv4Network(text, strict=False) for text in found]


def is_up(record: LabRecord, paths: LabPaths) -> bool:
    """Whether the lab's network stands as a whole."""
    # the mark alone outlives the machine's boot; link and mount alone may be those of a crash half-way
    parts = (_LINKS / record.uplink, paths.network_complete)
    return all(part.exists() for part in parts) and paths.network(record.number) in mounts_below(paths.folder)


def mounts_below(folder: Path) -> list[Path]:
    """Return the mount points below a folder, the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # octal escapes stand for blanks and backslashes
        point = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if folder in point.parents:
            found.append(point)
    return found[::-1]


def make(record: LabRecord, paths: LabPaths) -> None:
    """Make the lab's network.

    Raises:
        LabError: the kernel refused, or a link of this name is there already.
    """
    step = f"network of lab {record.name}"
    if (_LINKS / record.uplink).exists():
        raise LabError(
            f"a link {record.uplink} is there already",
            step=step,
            remedy=f"kubeforge lab down {record.name}, or: ip link delete {record.uplink}",
        )
    namespace = paths.network(record.number)
    namespace.touch()
    commands.run(["unshare", f"--net={namespace}", "sysctl", "-qw", "net.ipv4.ip_forward=0"], step=step)
    gateway, own = addresses(record.number)
    bridge, peer, uplink = constants.BRIDGE_NAME, constants.UPLINK_PEER, record.uplink
    commands.ip_batch(
        [
            "link set lo up",
            f"link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"address add {gateway}/{constants.PREFIX} dev {bridge}",
            f"link set {bridge} up",
        ],
        namespace=namespace,
        step=step,
    )
    commands.ip_batch([f"link add {uplink} type veth peer name {peer} netns {namespace}"], step=step)
    commands.ip_batch([f"link set {peer} master {bridge} up"], namespace=namespace, step=step)
    commands.ip_batch(
        [
            f"link set {uplink} addrgenmode none up",
            f"address add {own}/{constants.PREFIX} dev {uplink}",
        ],
        step=step,
    )
    Path(f"/proc/sys/net/ipv4/conf/{uplink}/forwarding").write_text("0")
    paths.network_complete.touch()


def remove(number: int, paths: LabPaths) -> None:
    """Remove what there is of the network of the lab that has this number."""
    paths.network_complete.unlink(missing_ok=True)
    remove_uplink(number)
    namespace = paths.network(number)
    if namespace in mounts_below(paths.folder):
        unmount_lazily(namespace)
    namespace.unlink(missing_ok=True)


def remove_uplink(number: int) -> None:
    """Remove the machine's link into the network of a lab, and its other end with it."""
    uplink = constants.UPLINK_NAME.format(number=number)
    if (_LINKS / uplink).exists():
        commands.ip("link", "delete", uplink)


def plug(record: LabRecord, paths: LabPaths, host: HostRecord, pid: int) -> None:
    """Give the network namespace of process `pid` the host's eth0, address and default route.

    Whatever port the host had before is removed.
    """
    namespace = paths.network(record.number)
    port = constants.PORT_NAME.format(host=host.name)
    take_out(record, paths, host)
    commands.ip_batch(
        [
            f"link add {port} type veth peer name eth0 address {host.mac} netns {pid}",
            f"link set {port} master {constants.BRIDGE_NAME}",
        ],
        namespace=namespace,
        step=f"port of {host.name}",
    )
    _obey_mark(namespace, port, paths.host(host.name).unplugged)
    gateway, _ = addresses(record.number)
    commands.ip_batch(
        [
            "link set lo up",
            f"address add {host.address}/{constants.PREFIX} broadcast + dev eth0",
            "link set eth0 up",
            f"route add default via {gateway}",
        ],
        namespace=Path(f"/proc/{pid}/ns/net"),
        step=f"addresses of {host.name}",
    )


def readdress(host: HostRecord, old: str, number: int, pid: int) -> None:
    """Give a running host another address, as DHCP does when a lease ends: the old one goes at once.

    Args:
        host: as it shall be.
        old: the address it has.
        number: of the lab.
        pid: of its init.
    """
    gateway, _ = addresses(number)
    commands.ip_batch(
        [
            # first: the new one would be a secondary address, and goes with the primary where the kernel promotes none
            f"address del {old}/{constants.PREFIX} dev eth0",
            f"address add {host.address}/{constants.PREFIX} broadcast + dev eth0",
            # the route went with the last address of the subnet
            f"route replace default via {gateway} src {host.address}",
        ],
        namespace=Path(f"/proc/{pid}/ns/net"),
        step=f"address of {host.name}",
    )


def _ports(namespace: Path) -> Sequence[str]:
    listed = commands.run(["nsenter", f"--net={namespace}", "--", "ip", "-json", "link", "show", "type", "veth"])
    return [link["ifname"] for link in json.loads(listed or "[]") if link]


def take_out(record: LabRecord, paths: LabPaths, host: HostRecord) -> None:
    """Remove the host's port, if it has one."""
    port = constants.PORT_NAME.format(host=host.name)
    namespace = paths.network(record.number)
    if port not in _ports(namespace):
        return
    try:
        commands.ip_batch([f"link delete {port}"], namespace=namespace)
    except LabError:
        # the host's own end went with its last process, and this end with it, between the two commands
        if port in _ports(namespace):
            raise


def set_port(record: LabRecord, paths: LabPaths, host: HostRecord, *, connected: bool) -> None:
    """Connect or disconnect the host, as by pulling its cable; it stays so over reboots."""
    mark = paths.host(host.name).unplugged
    if connected:
        mark.unlink(missing_ok=True)
    else:
        mark.touch()
    port = constants.PORT_NAME.format(host=host.name)
    namespace = paths.network(record.number)
    if port in _ports(namespace):
        _obey_mark(namespace, port, mark)


def _obey_mark(namespace: Path, port: str, mark: Path) -> None:
    """Set a port up or down as the mark says, also when somebody changes it meanwhile."""
    done = None
    while done != (wanted := mark.exists()):
        commands.ip_batch([f"link set {port} {'down' if wanted else 'up'}"], namespace=namespace)
        done = wanted
