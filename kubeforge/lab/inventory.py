"""What a lab writes for its user: an inventory that every command takes without more words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubeforge.lab import network
from kubeforge.lab.layout import LabPaths, labs_folder
from kubeforge.lab.record import HostRecord, LabRecord, virtual_address

__all__ = ["cluster_yaml", "default_inventory", "hosts_yaml", "ssh_config", "write"]

_GROUPS = {"kube_control_plane": "cp", "etcd": "etcd", "kube_node": "worker", "kube_load_balancer": "balancer"}
"""Group (kubespray's names) -> role of its hosts."""
_OPTIONAL = ("etcd", "kube_load_balancer")
"""Groups that are left out where they are empty: etcd's members then run on the control planes."""

_KUBELET = {
    # the machine's disk is shared by all hosts: kubelets shall not evict pods because somebody else fills it
    "evictionHard": {
        "memory.available": "100Mi",
        "nodefs.available": "1%",
        "nodefs.inodesFree": "1%",
        "imagefs.available": "1%",
    },
}
_PROXY = {"conntrack": {"maxPerCore": 0}}
"""nf_conntrack_max is read-only in a network namespace: kube-proxy must not try."""


def hosts_yaml(record: LabRecord, paths: LabPaths) -> str:
    """Return hosts.yml: Ansible's format, groups as in kubespray."""
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(paths.key),
        "ansible_ssh_common_args": shlex.join(["-o", f"UserKnownHostsFile={paths.known_hosts}"]),
    }
    groups = {group: {"hosts": _hosts(record, role)} for group, role in _GROUPS.items()}
    for group in _OPTIONAL:
        if not groups[group]["hosts"]:
            del groups[group]
    return _dump({"all": {"vars": variables, "children": groups}})


def _hosts(record: LabRecord, role: str) -> dict[str, Any]:
    chosen: Sequence[HostRecord] = [host for host in record.hosts if host.role == role]
    return {host.name: {"ansible_host": host.address} for host in chosen}


def cluster_yaml(record: LabRecord) -> str:
    """Return cluster.yml: what hosts in namespaces need beyond the defaults, and nothing else."""
    spec: dict[str, Any] = {"name": record.name, "kubernetes": record.kubernetes}
    if record.shape.etcd:
        spec["etcd"] = {"topology": "external"}
    if record.shape.load_balancers:
        spec["endpoint"] = {"kind": "haproxy", "address": virtual_address(record.number)}
    spec["kubelet"] = {"config": _KUBELET}
    spec["kube_proxy"] = {"config": _PROXY}
    spec["addons"] = {"ingress": {"kind": "traefik"}}
    return _dump(spec)


def ssh_config(record: LabRecord, paths: LabPaths) -> str:
    """Return an ssh_config by which the hosts have their names, and their keys are checked strictly."""
    blocks = [f"Host {host.name}\n  HostName {host.address}\n" for host in record.hosts]
    everywhere = {
        "User": "root",
        "IdentityFile": f'"{paths.key}"',
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f'"{paths.known_hosts}"',
        "StrictHostKeyChecking": "yes",
    }
    lines = "".join(f"  {name} {value}\n" for name, value in everywhere.items())
    return f"# written by kubeforge lab up\n{''.join(blocks)}Host *\n{lines}"


def _dump(data: dict[str, Any]) -> str:
    import yaml  # noqa: PLC0415 - default_inventory, which most commands call, does not need it

    return "# written by kubeforge lab up\n" + yaml.safe_dump(data, sort_keys=False)


def write(record: LabRecord, paths: LabPaths) -> None:
    """Write the inventory; a cluster.yml that is there is the user's and stays."""
    paths.inventory.mkdir(exist_ok=True)
    (paths.inventory / "hosts.yml").write_text(hosts_yaml(record, paths))
    paths.ssh_config.write_text(ssh_config(record, paths))
    spec = paths.inventory / "cluster.yml"
    if not spec.exists():
        spec.write_text(cluster_yaml(record))


def default_inventory() -> Path | None:
    """Return the inventory folder of the only lab that is up; None where none is, or several are."""
    up = []
    for record_file in sorted(labs_folder().glob("*/lab.json")):
        paths = LabPaths(folder=record_file.parent)
        record = LabRecord.read(record_file)
        if record is not None and network.is_up(record, paths):
            up.append(paths.inventory)
    return up[0] if len(up) == 1 else None
