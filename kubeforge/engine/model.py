"""What tasks get and give: Context, Facts, Task, Action, and the words of a playbook. No I/O in this module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Change, Observation, Operation, Queries
from kubeforge.secret import Secret
from kubeforge.transport.base import Remote

if TYPE_CHECKING:
    from kubeforge.artifacts.model import Resolved
    from kubeforge.spec.model import ClusterSpec

__all__ = ["Action", "ActionContext", "Context", "Facts", "Task", "TaskFunction", "Vault"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one host is, gathered in the run's first round trip.

    Args:
        hostname: as the kernel says.
        os_id: `debian`, from /etc/os-release.
        os_like: os_id and the words of ID_LIKE.
        os_version: VERSION_ID.
        os_name: PRETTY_NAME.
        arch: Go's name: `amd64`, `arm64`.
        kernel: release.
        cpus: online processors.
        memory: bytes in all.
        disks: mount-point-or-path -> (free bytes, all bytes) for the paths that matter (/, /var/lib, /etc).
        clock_skew: host's clock minus the controller's, seconds; at least so much, as the answer takes its time.
        cgroup: 1 or 2.
        systemd: whether systemd is PID 1.
        selinux: `enforcing`, `permissive`, `disabled`.
        swap: active swap devices.
        addresses: interface -> addresses with prefix length.
        listening: (protocol, port) -> process name where it could be told.
        capabilities: effective capability mask of root there (CapBnd), so that what a namespace lacks is known.
        resolv_conf: the path kubelets shall use: /run/systemd/resolve/resolv.conf where systemd-resolved runs.
        login_seconds: what a bare command costs on the host; a slow login shell shows here.
        ca_directories: those of kubeadm's extra directories with CA certificates that exist, in kubeadm's order:
            /etc/pki/ca-trust, /etc/pki/tls/certs, /etc/ca-certificates, /usr/share/ca-certificates,
            /usr/local/share/ca-certificates. Links in /etc/ssl/certs point there, so static pods mount them.
        conntrack_writable: whether /proc/sys/net/netfilter/nf_conntrack_max can be written (not in a network
            namespace of its own); kube-proxy dies where it wants to and cannot.
        uid: who runs our commands there, after sudo; 0: root.
        generations: how many of ours the host keeps, the origin not counted.
    """

    hostname: str
    os_id: str
    os_like: frozenset[str]
    os_version: str
    os_name: str
    arch: str
    kernel: str
    cpus: int
    memory: int
    disks: Mapping[str, tuple[int, int]]
    clock_skew: float
    cgroup: int
    systemd: bool
    selinux: str
    swap: tuple[str, ...]
    addresses: Mapping[str, tuple[str, ...]]
    listening: Mapping[tuple[str, int], str]
    capabilities: int
    resolv_conf: str
    login_seconds: float = 0.0
    ca_directories: tuple[str, ...] = ()
    conntrack_writable: bool = True
    uid: int = 0
    generations: int = 0

    @property
    def about(self) -> str:
        """The host in a few words."""
        return f"{self.os_name}, {self.arch}, {self.cpus} CPUs, {self.memory // 2**20} MiB"


class Vault(Protocol):
    """What is made or read once in a run and shared by all its tasks, on all threads."""

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`; the first call makes it, every other call in the run gets the same."""

    def fetch(self, host: str, path: str) -> Secret:
        """Read a secret file from a host (a CA key), once a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a task knows. Frozen; a task touches no host.

    Args:
        host: the host the operations are for.
        inventory: everybody.
        facts: host name -> Facts, for every host that is part of the run.
        seen: host name -> what the tasks of the playbook asked to see beforehand (`reads`), for every host.
        vault: secrets and other things made once a run.
        spec: the cluster, where the playbook is about one.
        artifacts: the parts, resolved, where the playbook needs them.
        vars: variables given on the command line or in the playbook.
        folder: the playbook's own, where its templates and files lie; None: it has none.
        turn: the host whose turn it is, where its work is done on another (`delegate_to`); None: `host` itself.
        known: what templates know, once it has been put together; see arguments.names.
    """

    host: Host
    inventory: Inventory
    facts: Mapping[str, Facts]
    seen: Mapping[str, Observation]
    vault: Vault
    spec: ClusterSpec | None = None
    artifacts: Resolved | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    turn: Host | None = None
    known: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def whose(self) -> Host:
        """The host whose turn it is."""
        return self.turn or self.host

    @property
    def cluster(self) -> ClusterSpec:
        """The spec.

        Raises:
            KubeforgeError: the playbook needs a cluster.yml and none was given.
        """
        if self.spec is None:
            raise KubeforgeError("this playbook is about a cluster, but no cluster.yml was given", remedy="-i DIR")
        return self.spec

    @property
    def parts(self) -> Resolved:
        """The resolved artifacts.

        Raises:
            KubeforgeError: the run resolved none.
        """
        if self.artifacts is None:
            raise KubeforgeError("this playbook needs artifacts and the run resolved none")
        return self.artifacts

    @property
    def mine(self) -> Facts:
        """Facts of this host."""
        return self.facts[self.host.name]


class ActionContext(Protocol):
    """What an action may use while it plans (read-only) and runs."""

    @property
    def context(self) -> Context:
        """What tasks know, for the action's host."""

    @property
    def remote(self) -> Remote:
        """The action's host."""

    @property
    def expected(self) -> Observation:
        """While planning: what will hold on the action's host after the changes planned before."""

    @property
    def pending(self) -> bool:
        """Whether any change has been planned before this action in this run, on any host."""

    @property
    def run_id(self) -> str:
        """Names the run, for an action that acts by operations of its own; empty while planning."""

    def remote_of(self, host: str) -> Remote:
        """Another host of the inventory."""

    def say(self, message: str) -> None:
        """Show progress on the console's line of this host; also goes to the journal. Never a secret."""

    def remark(self, text: str, **details: str) -> None:
        """Warn of what stays as it is, or stops nothing; while planning it is also in the plan. Never a secret.

        Args:
            text: one or two sentences, with what to do.
            details: the same for programs.
        """

    def checkpoint(self) -> None:
        """Call it wherever it is safe to stop: between two polls of a condition, before the first change.

        Raises:
            Interrupted: Ctrl-C was pressed; the action ends here and is named as not done.
        """


class Action(ABC):
    """What needs a conversation with hosts or the API: wait until healthy, add a member, drain, apply objects."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Names it, unique on its host: `etcd.ready`."""

    @abstractmethod
    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say what `run` would change, without changing anything; empty: `run` is not called.

        What cannot be known yet is said so in the change's `why`.
        """

    @abstractmethod
    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it; return what was changed, as `plan` would have listed it.

        Raises:
            DeadlineExceeded: a condition did not come true; carries the failing component's own log lines.
        """

    def traces(self) -> Queries:
        """Return what must be seen to tell whether a run that was cut off did it; nothing: the host cannot tell."""
        return Queries()

    def was_done(self, seen: Observation, began: float) -> bool | None:  # noqa: ARG002 - for those who can tell
        """Say whether the host tells that it was done.

        Args:
            seen: answers to `traces`.
            began: when that run had begun it, seconds since 1970 by this machine's clock.

        Returns:
            None: it cannot be told.
        """
        return None


TaskFunction = Callable[..., Iterable[Operation | Action]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A registered task: `function(context, **arguments) -> operations and actions`.

    Args:
        name: as playbooks call it: `control_plane.manifests`.
        function: pure.
        reads: what must be seen on a host before the function can decide: asked in the run's first round trip.
        summary: first line of the docstring.
        aka: what others call it: `lineinfile`; for suggestions.
    """

    name: str
    function: TaskFunction
    reads: Callable[[Inventory, Host], Queries] | None = None
    summary: str = ""
    aka: tuple[str, ...] = ()
