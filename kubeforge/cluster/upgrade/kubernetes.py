"""Asks the API what an upgrade must know: old APIs that are in use, nodes, PodDisruptionBudgets. Reads only.

Nothing is asked by an API version that goes: that would count as its use. Each API server counts for itself which
deprecated APIs it was asked for since it started (metric apiserver_requested_deprecated_apis, KEP-1693), so all of
them are asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

import httpx2

from kubeforge.cluster.api import Api
from kubeforge.cluster.budgets import Budget, read_budgets
from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.upgrade.seen import KubernetesSeen, NodeSeen, Requested, Written
from kubeforge.errors import ApiError, KubeforgeError
from kubeforge.spec.retired_apis import RETIRED

__all__ = ["ask", "requested"]

_METRIC: Final = re.compile(r"^apiserver_requested_deprecated_apis\{([^}]*)\} +([0-9.e+]+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_SHOWN: Final = 3
_CONTAINERD: Final = "containerd://"


def ask(api: Api, servers: Mapping[str, Callable[[], Api]]) -> KubernetesSeen:
    """Ask everything; what cannot be asked is named in the answer.

    Args:
        api: whichever API server answers.
        servers: control plane -> what makes a client for its own API server.

    Raises:
        ApiUnavailable: none answers.
    """
    unasked: list[str] = []
    asked = tuple(_of_servers(servers, unasked))
    nodes = {str(node["metadata"]["name"]): _node(node) for node in api.objects("v1", "Node")}
    return KubernetesSeen(
        nodes=nodes,
        recorded=_recorded(api, unasked),
        requested=asked,
        written=tuple(_written(api, asked, unasked)),
        budgets=_budgets(api, unasked),
        unasked=tuple(unasked),
    )


def requested(metrics: Mapping[str, str]) -> tuple[Requested, ...]:
    """Return the deprecated APIs that were asked for.

    Args:
        metrics: control plane -> what its API server answers at /metrics.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for host, text in metrics.items():
        for labels, value in _METRIC.findall(text):
            known = dict(_LABEL.findall(labels))
            if float(value) and known.get("removed_release"):  # others are deprecated, and stay
                group, version = known.get("group", ""), known.get("version", "")
                resource = "/".join(filter(None, (known.get("resource", ""), known.get("subresource", ""))))
                key = (f"{group}/{version}" if group else version, resource, known["removed_release"])
                found.setdefault(key, []).append(host)
    return tuple(
        Requested(api_version=api_version, resource=resource, removed=removed, hosts=tuple(hosts))
        for (api_version, resource, removed), hosts in sorted(found.items())
    )


def _of_servers(servers: Mapping[str, Callable[[], Api]], unasked: list[str]) -> Iterable[Requested]:
    metrics = {}
    for host, client in servers.items():
        try:
            own = client()
            try:
                status, text = own.text("/metrics")
            finally:
                own.close()
        except KubeforgeError as error:
            unasked.append(f"which old APIs the API server of {host} was asked for: {error.cause}")
            continue
        if status == httpx2.codes.OK:
            metrics[host] = text
        else:
            unasked.append(f"which old APIs the API server of {host} was asked for: /metrics answers {status}")
    return requested(metrics)


def _recorded(api: Api, unasked: list[str]) -> str:
    try:
        found = api.get("v1", "ConfigMap", "kubeadm-config", "kube-system")
    except ApiError as error:
        unasked.append(f"kubeadm's ConfigMap: {error.cause}")
        return ""
    text = ((found or {}).get("data") or {}).get("ClusterConfiguration", "")
    said = re.search(r"^kubernetesVersion: *[\"']?v?([0-9.]+)", text, re.MULTILINE)
    return said.group(1) if said else ""


def _node(node: Obj) -> NodeSeen:
    info = (node.get("status") or {}).get("nodeInfo") or {}
    runtime = str(info.get("containerRuntimeVersion", ""))
    found = re.search(r"\d+\.\d+\.\d+", runtime) if runtime.startswith(_CONTAINERD) else None
    return NodeSeen(
        kubelet=str(info.get("kubeletVersion", "")).removeprefix("v"), runtime=found.group() if found else ""
    )


def _written(api: Api, asked: Collection[Requested], unasked: list[str]) -> Iterator[Written]:
    """Yield whose managedFields name an API version that goes, of the known ones and of those that were asked for."""
    going = {(row.group_version, resource): row.removed for row in RETIRED for resource in row.resources}
    going |= {(one.api_version, one.resource): one.removed for one in asked if "/" not in one.resource}
    served: dict[str, tuple[str, ...]] = {}
    for (api_version, resource), removed in sorted(going.items()):
        group = api_version.rpartition("/")[0]
        try:
            if group not in served:
                served[group] = _versions(api, group)
            others = [one for one in served[group] if one != api_version]
            for metadata in filter(None, [_listed(api, others, resource)]):
                yield from _by(api_version, resource, removed, metadata)
        except ApiError as error:
            unasked.append(f"who wrote {resource} by {api_version}: {error.cause}")


def _versions(api: Api, group: str) -> tuple[str, ...]:
    """Return the group versions that are served, the preferred one first; empty: the group is not known."""
    if not group:
        return ()  # v1 alone, and it stays
    status, text = api.text(f"/apis/{group}")
    if status != httpx2.codes.OK:
        return ()
    said = json.loads(text)
    versions = [str(one["groupVersion"]) for one in said["versions"]]
    first = str(said["preferredVersion"]["groupVersion"])
    return tuple(dict.fromkeys((first, *versions)))


def _listed(api: Api, versions: Iterable[str], resource: str) -> list[Obj]:
    """Return the metadata of all objects by the first version that has the resource."""
    for version in versions:
        try:
            return api.metadata_at(f"/apis/{version}/{resource}")
        except ApiError as error:
            if error.status != httpx2.codes.NOT_FOUND:
                raise
    return []


def _by(api_version: str, resource: str, removed: str, listed: Iterable[Obj]) -> Iterator[Written]:
    names: list[str] = []
    managers: dict[str, None] = {}
    for metadata in listed:
        fields = metadata.get("managedFields") or ()
        by = [str(one.get("manager", "")) for one in fields if one.get("apiVersion") == api_version]
        if by:
            names.append("/".join(filter(None, (metadata.get("namespace"), metadata["name"]))))
            managers |= dict.fromkeys(by)
    if names:
        yield Written(
            api_version=api_version,
            resource=resource,
            removed=removed,
            objects=tuple(names[:_SHOWN]),
            count=len(names),
            managers=tuple(managers),
        )


def _budgets(api: Api, unasked: list[str]) -> tuple[Budget, ...]:
    """Return those that allow no eviction of pods they have."""
    try:
        return tuple(one for one in read_budgets(api) if one.expected and not one.allowed)
    except ApiError as error:
        unasked.append(f"PodDisruptionBudgets: {error.cause}")
        return ()
