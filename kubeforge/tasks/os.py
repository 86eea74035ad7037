"""The operating system under Kubernetes: packages, kernel modules and parameters, swap, names of all hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kubeforge.artifacts.catalogue import NODE_PACKAGES
from kubeforge.engine.model import Context, Facts
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.file import File
from kubeforge.operations.kernel_module import KernelModule
from kubeforge.operations.model import Operation, Queries
from kubeforge.operations.swap import SwapOff
from kubeforge.operations.sysctl import Sysctl
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import HOSTS, MODULES, SYSCTLS
from kubeforge.tasks.packages import packages
from kubeforge.tasks.registry import task

__all__ = ["hosts_file", "names", "prepare"]

_MODULES: Final = ("overlay", "br_netfilter")
# kubernetes.io/docs/setup/production-environment/container-runtimes: routing, and bridged traffic through iptables
_SYSCTLS: Final[Mapping[str, str]] = {
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.ipv4.ip_forward": "1",
}
# The kubelet sets these by itself (pkg/kubelet/cm, setupKernelTunables). Said here too, a reset knows what they were.
_OF_KUBELET: Final[Mapping[str, str]] = {
    "kernel.keys.root_maxbytes": "25000000",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
}
_IPV6: Final[Mapping[str, str]] = {"net.ipv6.conf.all.forwarding": "1"}
_BEGIN: Final = "# >>> kubeforge: hosts of cluster"
_END: Final = "# <<< kubeforge"


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(reads=(HOSTS,))


@task("os.prepare", reads=_reads)
def prepare(context: Context) -> Iterator[Operation]:
    """Packages, kernel modules and parameters, no swap where a kubelet runs; /etc/hosts everywhere."""
    if context.host.is_node:
        yield from _for_kubernetes(context)
    yield from names(context)


@task("os.names", reads=_reads)
def names(context: Context) -> Iterator[Operation]:
    """Names of all hosts of the cluster in /etc/hosts, and nothing else: what changes there when hosts come or go."""
    spec = context.cluster
    if spec.os.manage_hosts:
        old = context.seen[context.host.name].contents.get(HOSTS, b"")
        yield File(path=HOSTS, content=hosts_file(old, spec.name, context.inventory))


def _for_kubernetes(context: Context) -> Iterator[Operation]:
    spec, facts = context.cluster, context.mine
    for family, wanted in NODE_PACKAGES.items():
        if family in facts.os_like:
            yield from packages(facts, wanted)
    modules = "".join(f"{name}\n" for name in _MODULES)
    yield File(path=MODULES, content=f"# Written by kubeforge.\n{modules}".encode())
    yield from (KernelModule(name=name) for name in _MODULES)
    sysctls = {**_SYSCTLS, **_OF_KUBELET, **(_IPV6 if ":" in spec.network.pods else {}), **spec.os.sysctls}
    lines = "".join(f"{name} = {value}\n" for name, value in sorted(sysctls.items()))
    yield File(path=SYSCTLS, content=f"# Written by kubeforge.\n{lines}".encode())
    yield from (Sysctl(name=name, value=value) for name, value in sorted(sysctls.items()))
    yield from _no_swap(facts)


def hosts_file(old: bytes, cluster: str, inventory: Inventory) -> bytes:
    """Return /etc/hosts with a block of all hosts of the cluster, in the place of an earlier block."""
    rows = old.decode("utf-8", "surrogateescape").splitlines()
    kept: list[str] = []
    inside = False
    for row in rows:
        inside = (inside or row.startswith(_BEGIN)) and row != _END
        if not inside and row != _END:
            kept.append(row)
    block = [f"{host.address} {host.name}" for host in inventory.cluster if host.address != host.name]
    text = "\n".join([*kept, f"{_BEGIN} {cluster}", *block, _END, ""])
    return text.encode("utf-8", "surrogateescape")


def _no_swap(facts: Facts) -> Iterator[Operation]:
    """Switch swap off. Swap that systemd found by itself would be back after a reboot, so its unit is masked."""
    yield SwapOff()
    for device in facts.swap:
        yield Unit(name=_swap_unit(device), enabled=None, state="stopped", masked=True)


def _swap_unit(device: str) -> str:
    """Return the name systemd gives the unit of a swap device or file (systemd-escape --path --suffix=swap)."""
    escaped = device.strip("/").replace("\\", "\\x5c").replace("-", "\\x2d").replace("/", "-")
    return f"{escaped}.swap"
