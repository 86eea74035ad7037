"""Facts under the names that Ansible gives them (`ansible_distribution`, …), for constructed groups."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_interface
from types import MappingProxyType
from typing import Any

from kubeforge.engine.model import Facts
from kubeforge.engine.surveying import Surveyed

__all__ = ["fact_variables", "variables_of"]

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


def variables_of(found: Iterable[Surveyed]) -> dict[str, dict[str, Any]]:
    """Return host -> its facts as variables, for those that have answered."""
    return {one.host: fact_variables(one.facts) for one in found if one.facts is not None}
