"""Is a host fit for what it shall become? All that is wrong is said at once, before anything is touched.

Each finding has a name; `preflight.check` takes `ignore: [NAME, …]` in a playbook, or `-e preflight_ignore=NAME,…`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS, Host, Inventory
from kubeforge.operations.model import Change, Entry, Queries
from kubeforge.pki import verify
from kubeforge.pki.certificates import Kind, Row, rows_for
from kubeforge.spec.addresses import balancer_hosts, endpoint_port, node_ip
from kubeforge.spec.nodes import runs_workloads
from kubeforge.spec.paths import (
    API_PORT,
    COMM,
    CONTROLLER_MANAGER_PORT,
    ETCD_CLIENT_PORT,
    ETCD_METRICS_PORT,
    ETCD_PEER_PORT,
    ETCD_UNIT,
    HAPROXY_UNIT,
    KUBE_PROXY_HEALTH_PORT,
    KUBELET_CONFIG,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    KUBELET_UNIT,
    SCHEDULER_PORT,
)
from kubeforge.tasks.registry import task
from kubeforge.tasks.rights import need_root
from kubeforge.tasks.trust import now

__all__ = ["Finding", "Warnings", "check", "findings"]

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20
_MEMORY: Final = {True: (900 * _MIB, 1700 * _MIB), False: (400 * _MIB, 900 * _MIB)}  # control plane: refuse, warn
_DISK: Final = 2 * _GIB
_EVICTION: Final = 0.15  # kubelet's default for the image file system
_SKEW_REFUSED: Final = 240.0  # certificates are backdated by 300 s; a host behind that takes them for not yet valid
_SKEW_WARNED: Final = 1.0  # etcd warns from here on
_SLOW_LOGIN: Final = 0.12
_CA_WARNED: Final = verify.AUTHORITY_ENDS_SOON
_MACHINE_ID: Final = "/etc/machine-id"
# what hosts have of us before anything of ours takes a port
_OURS: Final = (KUBELET_UNIT, KUBELET_CONFIG, ETCD_UNIT, HAPROXY_UNIT)
_TESTED: Final = frozenset({"debian", "ubuntu"})
_KNOWN: Final = frozenset({*_TESTED, "rhel", "fedora", "centos", "suse", "opensuse"})
_PORTS: Final = {
    CONTROL_PLANE: {
        API_PORT: "kube-apiserver",
        CONTROLLER_MANAGER_PORT: "kube-controller-manager",
        SCHEDULER_PORT: "kube-scheduler",
    },
    "etcd": {ETCD_CLIENT_PORT: "etcd", ETCD_PEER_PORT: "etcd", ETCD_METRICS_PORT: "etcd"},
    WORKERS: {KUBELET_PORT: "kubelet", KUBELET_HEALTH_PORT: "kubelet", KUBE_PROXY_HEALTH_PORT: "kube-proxy"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Args:
        name: by which it can be ignored.
        text: one sentence, with what to do.
        fatal: whether the host is refused.
    """

    name: str
    text: str
    fatal: bool = True


def _reads(inventory: Inventory, host: Host) -> Queries:
    authorities = tuple(row.certificate for row in _authorities(inventory, host))
    return Queries(reads=(_MACHINE_ID, *authorities), stats=_OURS)


def _authorities(inventory: Inventory, host: Host) -> list[Row]:
    return [row for row in rows_for(inventory, host) if row.kind is Kind.AUTHORITY]


@task("preflight.check", reads=_reads)
def check(context: Context, ignore: Sequence[str] = ()) -> Iterator[Action]:
    """Refuse a host that is not fit, with everything that is wrong with it at once."""
    need_root(context, "preflight.check")
    ignored = {*ignore, *str(context.vars.get("preflight_ignore", "")).split(",")}
    found = [finding for finding in findings(context) if finding.name not in ignored]
    fatal = [finding for finding in found if finding.fatal]
    if fatal:
        names = ",".join(finding.name for finding in fatal)
        raise UnfitHost(
            f"not fit for Kubernetes: {len(fatal)} reason{'s' if len(fatal) > 1 else ''}",
            host=context.host.name,
            step="preflight.check",
            evidence=[f"{finding.name}: {finding.text}" for finding in fatal],
            remedy="put it right; what you know to be harmless: -e preflight_ignore=" + names,
        )
    if found:
        yield Warnings(findings=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Warnings(Action):
    """Says what does not refuse the host; changes nothing."""

    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Names its task."""
        return "preflight.check"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say it while planning."""
        for finding in self.findings:
            run.remark(f"{finding.text}")
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


def findings(context: Context) -> Iterator[Finding]:
    """Yield everything that is wrong with a host."""
    yield from _system(context)
    yield from _room(context)
    yield from _identity(context)
    yield from _ends(context)
    yield from _ports(context)


def _system(context: Context) -> Iterator[Finding]:
    facts = context.mine
    if not facts.systemd:
        yield Finding(name="systemd", text="systemd is not process 1; kubelet and containerd run as its units")
    if not facts.os_like & _KNOWN:
        yield Finding(name="os", text=f"{facts.os_name or facts.os_id} is of no known family (Debian, RHEL, SUSE)")
    elif not facts.os_like & _TESTED:
        yield Finding(name="os", text=f"{facts.os_name} was not tested; Debian's family is", fatal=False)
    if facts.arch not in ("amd64", "arm64"):
        yield Finding(name="architecture", text=f"{facts.arch}: there are parts for amd64 and arm64 only")
    if facts.cgroup == 1 and context.host.is_node:
        text = "cgroup v1: the kubelet is told to accept it, and will not for much longer; boot with cgroup v2"
        yield Finding(name="cgroup", text=text, fatal=False)
    if facts.selinux == "enforcing":
        yield Finding(name="selinux", text="SELinux enforces; that was not tested here", fatal=False)
    if facts.login_seconds > _SLOW_LOGIN:
        took = f"{facts.login_seconds * 1000:.0f} ms"
        text = f"a bare command takes {took}: look at root's shell start-up files"
        yield Finding(name="login", text=text, fatal=False)


def _room(context: Context) -> Iterator[Finding]:
    facts = context.mine
    least, good = _MEMORY[CONTROL_PLANE in context.host.groups]
    if facts.memory < good:
        has = f"{facts.memory // _MIB} MiB of memory"
        if facts.memory < least:
            yield Finding(name="memory", text=f"{has}; it needs {least // _MIB} MiB at the very least")
        else:
            yield Finding(name="memory", text=f"{has}; {good // _MIB} MiB are recommended", fatal=False)
    path, (free, size) = min(facts.disks.items(), key=lambda item: item[1][0], default=("/", (_GIB * 100, _GIB * 100)))
    if free < _DISK:
        yield Finding(name="disk", text=f"{path} has {free // _MIB} MiB left; it needs {_DISK // _MIB} MiB")
    elif free < size * _EVICTION and context.host.is_node and "evictionHard" not in context.cluster.kubelet.config:
        text = f"{path} is {100 - free * 100 // size} % full; from 85 % on the kubelet evicts pods"
        yield Finding(name="disk", text=text, fatal=False)


def _identity(context: Context) -> Iterator[Finding]:
    """Two hosts must not be one: the second one that is asked sees it."""
    facts, name = context.mine, context.host.name
    if abs(facts.clock_skew) > _SKEW_REFUSED:
        text = f"its clock is {facts.clock_skew:+.0f} s off this machine's; certificates would not be valid there"
        yield Finding(name="clock", text=f"{text}: timedatectl set-ntp true")
    elif abs(facts.clock_skew) > _SKEW_WARNED:
        text = f"its clock is {facts.clock_skew:+.1f} s off this machine's"
        yield Finding(name="clock", text=text, fatal=False)
    machine = context.seen[name].contents.get(_MACHINE_ID, b"").strip().decode(errors="replace")
    for what, value in (("hostname", facts.hostname), ("machine-id", machine)):
        other = context.vault.once(("preflight", what, value), lambda: name)
        if value and other != name:
            yield Finding(name=what, text=f"{other} has the same {what} {value}: is it the same machine, or a clone?")
    address = node_ip(context.host)
    own = {listed.partition("/")[0] for some in facts.addresses.values() for listed in some}
    if address is not None and own and str(address) not in own:
        text = f"{address} is none of its own addresses ({', '.join(sorted(own))}): set `ip` in the inventory"
        yield Finding(name="address", text=text)


def _ends(context: Context) -> Iterator[Finding]:
    """Authorities that are there already, from an earlier run or put there by their owner, must last."""
    for row in _authorities(context.inventory, context.host):
        known = context.seen[context.host.name].contents.get(row.certificate)
        if known is None:
            continue
        fault = verify.authority_fault(known, now=now(context))
        if fault is not None:
            text = f"{row.certificate}: {fault}; a new cluster needs another one there, with its key, or none"
            yield Finding(name=row.name, text=text)
        elif (left := verify.time_left(known, now(context))) < _CA_WARNED:
            text = f"{row.certificate} ends in {left.days} days, and everything that it signs ends with it"
            yield Finding(name=row.name, text=text, fatal=False)


def _ports(context: Context) -> Iterator[Finding]:
    wanted: dict[int, str] = {}
    host, inventory = context.host, context.inventory
    if host in inventory.control_planes:
        wanted |= _PORTS[CONTROL_PLANE]
    if host in inventory.etcd_members:
        wanted |= _PORTS["etcd"]
    if host.groups & {CONTROL_PLANE, WORKERS}:
        wanted |= _PORTS[WORKERS]
    if host in balancer_hosts(context.cluster, inventory):
        wanted |= {endpoint_port(context.cluster, inventory): "haproxy"}
    ingress = context.cluster.addons.ingress
    if ingress is not None and runs_workloads(context.cluster, inventory, host):
        wanted |= {ingress.http_port: "traefik", ingress.https_port: "traefik"}
    # On a host that we have changed before, the facts tell no names of processes. Where we made it a node, a host of
    # etcd's or a balancer, whoever listens was checked then; but only playbooks of another kind may have changed it.
    seen = context.seen[host.name].paths
    ours = any(isinstance(seen.get(path), Entry) for path in _OURS)
    for port, program in sorted(wanted.items()):
        user = context.mine.listening.get(("tcp", port))
        if user is not None and not _is(user, program) and not (ours and not user):
            text = f"port {port} is taken by {user or 'another program'}; {program} needs it: ss -ltnp sport = {port}"
            yield Finding(name=f"port-{port}", text=text)


def _is(user: str, program: str) -> bool:
    """Compare names of processes; the kernel keeps fifteen characters."""
    return user[:COMM] == program[:COMM]
