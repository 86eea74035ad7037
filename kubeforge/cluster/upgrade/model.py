"""What `kubeforge upgrade plan` answers, as frozen values; docs/upgrade-plan.md describes them for programs. No I/O.

The shape is stable: fields are added, and none is renamed or taken away, while `VERSION` stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from kubeforge.cluster.status.model import Problem, Severity, plain
from kubeforge.errors import ConnectionFailed, UnfitHost

__all__ = ["VERSION", "AddonStep", "Choice", "Done", "HostStep", "Need", "Restart", "Step", "UpgradePlan", "Verdict"]

VERSION: Final = 1


class Verdict(StrEnum):
    """The whole in one word."""

    CAN_GO = "can-go"
    NOTHING = "nothing-to-do"
    BLOCKED = "blocked"
    UNREACHABLE = "unreachable"  # no control plane can be entered, so nobody knows


class Done(StrEnum):
    """How far a host is."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One version on the way.

    Args:
        kubernetes: without v, like all here.
        source: where its parts come from.
        versions: component -> version that goes with it.
    """

    kubernetes: str
    source: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A version the cluster could go to.

    Args:
        kubernetes: the version.
        steps: versions on the way, itself included.
        blocked: problems that stand in the way.
        end_of_life: ISO date from which upstream mends nothing any more.
    """

    kubernetes: str
    steps: tuple[str, ...]
    blocked: int
    end_of_life: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStep:
    """One host, now and then.

    Args:
        host: inventory name, or the node's where hosts.yml does not know it.
        roles: `control-plane`, `etcd`, `worker`; `foreign`: not in hosts.yml.
        done: whether all that is changed there is as it will be.
        now: component -> version that runs; empty: not known.
        pending: components that will be changed.
    """

    host: str
    roles: tuple[str, ...]
    done: Done
    now: Mapping[str, str]
    pending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonStep:
    """One addon.

    Args:
        name: `coredns`.
        now: version that runs; empty: not known.
        then: version that goes with the wanted Kubernetes; empty: it has none of its own.
    """

    name: str
    now: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Something that stops and starts.

    Args:
        step: version of Kubernetes on the way.
        turn: numbers from 1 on; what has the same one happens side by side.
        hosts: where.
        what: `etcd`, `kube-apiserver`, `kubelet`, `containerd`, `kube-proxy`, …
        now: its version before; empty: not known.
        then: after.
        seconds: that it is away, estimated.
        measured: where the estimate comes from; empty: nobody has measured it.
    """

    step: str
    turn: int
    hosts: tuple[str, ...]
    what: str
    now: str
    then: str
    seconds: float
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Room that new parts take on one file system of a host.

    Args:
        host: its name.
        mount: where the file system is mounted.
        needed: bytes of what is not there yet.
        free: bytes that are left; of `size`.
        size: bytes in all.
        estimated: whether some sizes are not known on this machine.
    """

    host: str
    mount: str
    needed: int
    free: int
    size: int
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """What an upgrade would meet and do.

    Args:
        cluster: its name.
        asked: when it was looked at, UTC.
        now: oldest version that an API server runs; empty: not known.
        wanted: where to; empty: there is nowhere to go.
        half_done: whether some are at `wanted` already, and others not.
        path: versions on the way; empty: no way, or nothing to do.
        choices: where the cluster could go.
        hosts: of the cluster, then nodes that others joined.
        addons: that cluster.yml wants.
        restarts: in order.
        seconds: from the first restart to the last, estimated; drains and uploads are not counted.
        room: what new parts need.
        problems: the worst first; errors stand in the way.
        entered: whether any control plane could be.
    """

    cluster: str
    asked: datetime
    now: str
    wanted: str
    half_done: bool = False
    path: tuple[Step, ...] = ()
    choices: tuple[Choice, ...] = ()
    hosts: tuple[HostStep, ...] = ()
    addons: tuple[AddonStep, ...] = ()
    restarts: tuple[Restart, ...] = ()
    seconds: float = 0.0
    room: tuple[Need, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    entered: bool = True

    @property
    def blockers(self) -> tuple[Problem, ...]:
        """The problems that stand in the way."""
        return tuple(one for one in self.problems if one.severity in (Severity.CRITICAL, Severity.ERROR))

    @property
    def verdict(self) -> Verdict:
        """The whole in one word."""
        if not self.entered:
            return Verdict.UNREACHABLE
        if self.blockers:
            return Verdict.BLOCKED
        return Verdict.CAN_GO if self.path else Verdict.NOTHING

    @property
    def exit_code(self) -> int:
        """0 can go, or nothing to do; 12 blocked; 11 no control plane can be entered; as in `errors`."""
        codes = {Verdict.BLOCKED: UnfitHost.exit_code, Verdict.UNREACHABLE: ConnectionFailed.exit_code}
        return codes.get(self.verdict, 0)

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data."""
        said: dict[str, Any] = plain(asdict(self))
        del said["entered"]
        return {"version": VERSION, "verdict": str(self.verdict), "good": self.exit_code == 0, **said}
