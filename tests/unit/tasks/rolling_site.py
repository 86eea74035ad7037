"""A cluster in memory that was founded with one spec and shall have another; and conversations with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.engine.model import Action
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Observation
from kubeforge.spec.paths import BIN
from kubeforge.tasks import (
    control_plane,
    etcd,
    kubelet,
    kubernetes,
    pki,
)
from kubeforge.tasks.kubelet_rolled import KubeletRolled

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}
FOUNDED = (
    kubernetes.install,
    pki.control_plane,
    etcd.member,
    control_plane.server,
    kubelet.configure,
    control_plane.controllers,
)
ROLLED = (kubelet.roll, pki.roll, etcd.roll, control_plane.roll)
KUBELET_PROGRAM = f"{BIN}/kubelet"
APISERVER = manifest_path("kube-apiserver")
ASIDE = "/var/lib/kubeforge/last-good/kube-apiserver/kube-apiserver.yaml"
NEW = {"api_server": {"extra_args": {"profiling": "false"}}}


def titles(items: Any) -> list[str]:
    return [item.title for item in items]


def given(made: Any, host: str, *tasks: Any) -> list[Any]:
    return [item for task in tasks or ROLLED for item in made.ask(host, task)]


def actions(items: list[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, Action) and not isinstance(item, KubeletRolled)]


def talk(made: Any, name: str, *, expected: Observation | None = None, pending: bool = True) -> Conversation:
    return Conversation(
        context=made.context(name, control_plane.roll),
        title="t",
        expected=expected or Observation(),
        pending=pending,
        connect=lambda host: made.hosts[host],
        events=Events([]),
        stopping=lambda: False,
        run_id="r",
    )
