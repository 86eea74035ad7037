"""Asks one host, in one round trip, what an upgrade must know of it. Reads only.

The script is templates/upgrade/host.sh. What it says is taken apart here and judged elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from kubeforge.cluster.status.probe import split_answer
from kubeforge.cluster.upgrade.seen import EVICTS, Arguments, HostSeen, Room
from kubeforge.engine.facts import GO_ARCH
from kubeforge.errors import ConnectionFailed, KubeforgeError, ProtocolError
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.render import render
from kubeforge.manifests.static_pod import version_in
from kubeforge.operations.shell import join, quote
from kubeforge.spec import paths
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.framing import new_nonce

__all__ = ["COMPONENTS", "ask", "parse", "script"]

COMPONENTS: Final[Mapping[str, str]] = {
    ETCD: "etcd",
    API_SERVER: "api_server",
    CONTROLLER_MANAGER: "controller_manager",
    SCHEDULER: "scheduler",
}
"""Static pod -> the component as cluster.yml names it."""

_DEADLINE: Final = 60.0  # eight programs are started to ask for their versions, each some 150 MB to read
_KIBIBYTE: Final = 1024
_VERSION: Final = re.compile(r"\bv?(\d+\.\d+\.\d+)")
_FLAG: Final = re.compile(r"--([a-z][a-z0-9-]*)(?:=(\S*))?")
_GATES: Final = "feature-gates"


def script() -> str:
    """Return the script."""
    return render(
        "upgrade/host.sh",
        bin=quote(paths.BIN),
        cni_bin=quote(paths.CNI_BIN),
        components=list(COMPONENTS),
        manifests=quote(paths.MANIFESTS),
        etcd_unit=quote(paths.ETCD_UNIT),
        kubelet_flags=quote(paths.KUBELET_FLAGS),
        kubelet_config=quote(paths.KUBELET_CONFIG),
        store=quote(paths.STORE),
        images=quote(paths.CONTAINERD_DATA),
        ctr=join((f"{paths.BIN}/ctr", "-n", paths.CONTAINERD_NAMESPACE)),
    )


def ask(remote: Remote) -> HostSeen:
    """Ask a host; one that cannot be asked says why."""
    nonce = new_nonce()
    try:
        done = remote.run(["sh", "-c", script(), "sh", nonce], deadline=_DEADLINE, expect=range(256))
        return parse(remote.host, nonce, done.stdout.decode("utf-8", "replace"))
    except ConnectionFailed:
        raise
    except KubeforgeError as error:
        return HostSeen(name=remote.host, why=error.cause)


def parse(host: str, nonce: str, text: str) -> HostSeen:
    """Take the script's answer apart.

    Raises:
        ProtocolError: it does not come to its end.
    """
    parts = {" ".join(words): body for words, body in split_answer(nonce, text)}
    if "end" not in parts:
        raise ProtocolError("the host gave no whole answer", host=host, step="upgrade", evidence=text.splitlines()[-3:])
    pods = {name: parts[f"manifest {name}"] for name in COMPONENTS if f"manifest {name}" in parts}
    machine = parts["arch"].strip()
    config = _mapping(parts.get("kubelet-config", ""))
    return HostSeen(
        name=host,
        arch=GO_ARCH.get(machine, machine),
        programs=dict(_programs(parts["programs"])),
        pods={name: version for name, body in pods.items() if (version := version_in(body.encode()))},
        arguments=dict(_arguments(pods, parts, config)),
        stored=frozenset(parts["stored"].split()),
        images=frozenset(parts["images"].split()),
        store=_room(parts["store"]),
        image_store=_room(parts["image-store"]),
        evicts=_evicts(config),
    )


def _programs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, said = line.partition(" ")
        found = _VERSION.search(said)
        if name:
            yield name, found.group(1) if found else ""


def _arguments(
    pods: Mapping[str, str], parts: Mapping[str, str], config: Mapping[str, Any]
) -> Iterator[tuple[str, Arguments]]:
    for name, body in pods.items():
        container = _container(body)
        given = [*(container.get("command") or ()), *(container.get("args") or ())]
        yield COMPONENTS[name], _taken(" ".join(map(str, given)))
    if "etcd-unit" in parts:
        lines = [line for line in parts["etcd-unit"].splitlines() if line.startswith("ExecStart=")]
        yield COMPONENTS[ETCD], _taken(" ".join(lines))
    if "kubelet-config" in parts:
        taken = _taken(parts.get("kubelet-flags", ""))
        gates = config.get("featureGates")
        more = frozenset(map(str, gates)) if isinstance(gates, dict) else frozenset()
        yield "kubelet", Arguments(flags=taken.flags, gates=taken.gates | more)


def _taken(line: str) -> Arguments:
    given = _FLAG.findall(line.replace('"', " ").replace("'", " "))
    gates = {pair.partition("=")[0] for flag, value in given if flag == _GATES for pair in value.split(",") if pair}
    return Arguments(flags=frozenset(flag for flag, _ in given if flag != _GATES), gates=frozenset(gates))


def _container(manifest: str) -> Mapping[str, Any]:
    """Return the first container of a pod; empty where it is none."""
    pod = _mapping(manifest)
    try:
        found = pod["spec"]["containers"][0]
    except (LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _room(text: str) -> Room | None:
    """Read a line of `df -Pk`: device, size, used, free, percent, mount."""
    words = text.split()
    try:
        return Room(mount=" ".join(words[5:]), free=int(words[3]) * _KIBIBYTE, size=int(words[1]) * _KIBIBYTE)
    except (LookupError, ValueError):
        return None


def _evicts(config: Mapping[str, Any]) -> float:
    """Return below which share of free room the kubelet evicts; a limit in bytes counts as none."""
    limits = config.get("evictionHard")
    if not isinstance(limits, dict):
        return EVICTS
    said = str(limits.get("imagefs.available", "0%"))  # where some are given, the others are off
    return float(said.rstrip("%")) / 100 if re.fullmatch(r"\d+(\.\d+)?%", said) else 0.0
