"""The inventory as frozen values: hosts, groups, how each host is reached. No parsing, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubeforge.errors import Problem
from kubeforge.secret import Secret

__all__ = ["CONTROL_PLANE", "ETCD", "LOAD_BALANCERS", "WORKERS", "Connection", "Host", "Inventory"]

CONTROL_PLANE = "kube_control_plane"
WORKERS = "kube_node"
ETCD = "etcd"
LOAD_BALANCERS = "kube_load_balancer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How one host is reached, from Ansible's connection variables.

    Args:
        kind: `ssh` or `local` (ansible_connection); any other is one of Ansible's that is not served.
        address: ansible_host, else the host's name.
        port: ansible_port; None: what ssh_config says, else 22.
        user: ansible_user; None: what ssh_config says, else the caller's name.
        password: ansible_password.
        key_file: ansible_ssh_private_key_file; None: agent, then the usual files, then ssh_config.
        known_hosts: from `-o UserKnownHostsFile=` in ansible_ssh_common_args; empty: the user's and the system's.
        proxy_jump: `-J` or `-o ProxyJump=` in ansible_ssh_common_args; None: what ssh_config says.
        become: ansible_become.
        become_user: ansible_become_user.
        become_password: ansible_become_password.
        connect_timeout: seconds, ansible_timeout.
        own_user: who does there what says nothing of another user, where a playbook, and not the inventory, wants the
            host entered as root: a name, empty: who logs in; None: who is entered.
        asked_user: ansible_become_user, where the host is entered as root instead.
    """

    kind: str = "ssh"
    address: str
    port: int | None = None
    user: str | None = None
    password: Secret | None = None
    key_file: Path | None = None
    known_hosts: tuple[Path, ...] = ()
    proxy_jump: str | None = None
    become: bool = False
    become_user: str = "root"
    become_password: Secret | None = None
    connect_timeout: float = 10.0
    own_user: str | None = None
    asked_user: str = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host.

    Args:
        name: inventory name; also the Kubernetes node name.
        connection: how it is reached.
        groups: every group it is in, ancestors included, sorted; never `all`.
        vars: all its variables, merged as Ansible merges them.
        file: where it was written first.
        line: 1-based line there.
    """

    name: str
    connection: Connection
    groups: frozenset[str] = frozenset()
    vars: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    line: int | None = None

    @property
    def address(self) -> str:
        """The address it has among the cluster's hosts: `ip` (as in kubespray), else the connection's address."""
        return str(self.vars.get("ip", self.connection.address))

    @property
    def is_node(self) -> bool:
        """Whether it is a node of Kubernetes, with a kubelet and a container runtime."""
        return bool(self.groups & {CONTROL_PLANE, WORKERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All hosts, in the order they were written.

    Args:
        hosts: name -> Host.
        groups: group -> names of its hosts, ancestors filled; those it lists itself first, as listed; `all` included.
        source: the path it was loaded from; of several, the first.
        children: group -> the groups right below it; `all` included.
        listed: group -> the hosts it lists itself, as listed.
        warnings: what is written there and has no effect, or another one than it seems; each with file, line, field.
        gone: hosts that are dead and leave the cluster with this run; not among `hosts`, so nobody can reach them.
        lock_order: control planes in the order in which a run's lock is looked for, where that is not their own: hosts
            that come or go change roles, and another run must still look for the lock on the same one.
        wants_facts: hosts whose facts constructed groups look at and do not have.
        of_facts: groups that facts make, where they fit a host: names, and globs of those that are named by values.
    """

    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    source: Path | None = None
    children: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    gone: tuple[Host, ...] = ()
    lock_order: tuple[str, ...] = ()
    wants_facts: tuple[str, ...] = ()
    of_facts: tuple[str, ...] = ()

    def with_passwords(self, *, login: Secret | None = None, become: Secret | None = None) -> Inventory:
        """Return the inventory with passwords that were asked for; a host's own variables win, as in Ansible.

        Args:
            login: to log in with.
            become: for sudo, on hosts reached over SSH.
        """

        def entered(host: Host) -> Host:
            own = host.connection
            if own.kind != "ssh":
                return host
            known = replace(own, password=own.password or login, become_password=own.become_password or become)
            return replace(host, connection=known)

        return replace(self, hosts={name: entered(host) for name, host in self.hosts.items()})

    def entered_like(self, other: Inventory) -> Inventory:
        """Return the inventory with the passwords that `other` has, where its own variables name none."""

        def entered(host: Host) -> Host:
            known = other.hosts.get(host.name, host).connection
            login, become = host.connection.password, host.connection.become_password
            login, become = login or known.password, become or known.become_password
            return replace(host, connection=replace(host.connection, password=login, become_password=become))

        return replace(self, hosts={name: entered(host) for name, host in self.hosts.items()})

    def group(self, name: str) -> tuple[Host, ...]:
        """Return the hosts of a group; empty where there is no such group."""
        return tuple(self.hosts[host] for host in self.groups.get(name, ()))

    @property
    def control_planes(self) -> tuple[Host, ...]:
        """Hosts of kube_control_plane; the first one founds the cluster."""
        return self.group(CONTROL_PLANE)

    @property
    def workers(self) -> tuple[Host, ...]:
        """Hosts of kube_node that are not control planes."""
        control = set(self.groups.get(CONTROL_PLANE, ()))
        return tuple(host for host in self.group(WORKERS) if host.name not in control)

    @property
    def etcd_members(self) -> tuple[Host, ...]:
        """Hosts of group etcd; the control planes where there is no such group (stacked)."""
        return self.group(ETCD) or self.control_planes

    @property
    def load_balancers(self) -> tuple[Host, ...]:
        """Hosts of group kube_load_balancer: balancers of the API where `endpoint.kind` is haproxy; often none."""
        return self.group(LOAD_BALANCERS)

    @property
    def cluster(self) -> tuple[Host, ...]:
        """Every host that is part of the cluster: control planes, external etcd, workers, balancers; none twice."""
        listed = (*self.control_planes, *self.etcd_members, *self.workers, *self.load_balancers)
        return tuple({host.name: host for host in listed}.values())
