"""Facts under the names that Ansible gives them (`ansible_distribution`, …), for constructed groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_interface
from types import MappingProxyType
from typing import Any

from kubeforge.engine.executors import Executor
from kubeforge.engine.facts import gather
from kubeforge.engine.gather import FactsReader
from kubeforge.engine.model import Facts
from kubeforge.errors import KubeforgeError
from kubeforge.operations.model import Queries
from kubeforge.transport.base import Remote

__all__ = ["ask_all", "fact_variables"]

_DISTRIBUTIONS = MappingProxyType(
    {
        "almalinux": "AlmaLinux",
        "amzn": "Amazon",
        "arch": "Archlinux",
        "centos": "CentOS",
        "debian": "Debian",
        "fedora": "Fedora",
        "ol": "OracleLinux",
        "opensuse-leap": "openSUSE Leap",
        "opensuse-tumbleweed": "openSUSE Tumbleweed",
        "rhel": "RedHat",
        "rocky": "Rocky",
        "sles": "SLES",
        "ubuntu": "Ubuntu",
    }
)
"""ID of os-release -> ansible_distribution."""
_FAMILIES = MappingProxyType({
    "debian": "Debian", "rhel": "RedHat", "fedora": "RedHat", "centos": "RedHat", "amzn": "RedHat", "suse": "Suse",
    "sles": "Suse", "opensuse": "Suse", "arch": "Archlinux", "alpine": "Alpine",
})  # fmt: skip
"""A word of ID or ID_LIKE -> ansible_os_family."""
_MACHINES = MappingProxyType({"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l"})


def fact_variables(facts: Facts) -> dict[str, Any]:
    """Return what templates know of a host: `ansible_NAME` for each fact, and all of them in `ansible_facts`."""
    addresses = [ip_interface(each).ip for listed in facts.addresses.values() for each in listed]
    distribution = _DISTRIBUTIONS.get(facts.os_id, facts.os_id.capitalize())
    found = {
        "all_ipv4_addresses": [str(each) for each in addresses if each.version == 4],
        "all_ipv6_addresses": [str(each) for each in addresses if each.version == 6],
        "architecture": _MACHINES.get(facts.arch, facts.arch),
        "distribution": distribution,
        "distribution_major_version": facts.os_version.partition(".")[0],
        "distribution_version": facts.os_version,
        "hostname": facts.hostname.partition(".")[0],
        "interfaces": list(facts.addresses),
        "kernel": facts.kernel,
        "memtotal_mb": facts.memory >> 20,
        "nodename": facts.hostname,
        "os_family": next((_FAMILIES[word] for word in sorted(facts.os_like) if word in _FAMILIES), distribution),
        "processor_vcpus": facts.cpus,
        "service_mgr": "systemd" if facts.systemd else "init",
        "system": "Linux",
    }
    return {f"ansible_{name}": value for name, value in found.items()} | {"ansible_facts": found}


def ask_all(
    hosts: Iterable[str],
    remote_of: Callable[[str], Remote],
    executor: Executor,
    reader: FactsReader = gather,
) -> tuple[Mapping[str, dict[str, Any]], Mapping[str, KubeforgeError]]:
    """Ask hosts what they are; return their variables, and why those that do not answer did not.

    Args:
        hosts: names.
        remote_of: host name -> Remote.
        executor: what asks some at once.
        reader: asks one.
    """

    def ask(host: str) -> Facts | KubeforgeError:
        try:
            return reader(remote_of(host), Queries(), lambda _: None)[0]
        except KubeforgeError as error:
            return error

    told: dict[str, dict[str, Any]] = {}
    silent: dict[str, KubeforgeError] = {}
    for host, answer in executor.each(ask, list(hosts)):
        if isinstance(answer, KubeforgeError):
            silent[host] = answer
        else:
            told[host] = fact_variables(answer)
    return told, silent
