"""What an API serves of its own, and which of it holds objects: whether an older API server could read its store.

Kubernetes lets a storage version advance only after a release that can read it (deprecation policy, rule 4b), so one
minor back is safe, but for resources that the older API server does not know by any version.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from kubeforge.cluster.api import Api

__all__ = ["holding", "served", "unknown_before"]

_CORE = "v1"


def served(api: Api) -> frozenset[str]:
    """Return `GROUP/VERSION/RESOURCE` (of the core group `v1/RESOURCE`) of all that is listed and stored.

    What custom resources and other API servers bring is left out: it does not depend on Kubernetes' version.

    Raises:
        ApiError: the API does not answer.
    """
    foreign = {crd["spec"]["group"] for crd in api.objects("apiextensions.k8s.io/v1", "CustomResourceDefinition")} | {
        service["spec"]["group"]
        for service in api.objects("apiregistration.k8s.io/v1", "APIService")
        if service["spec"].get("service")
    }
    groups = [group for group in api.json("/apis")["groups"] if group["name"] not in foreign]
    versions = [_CORE, *(version["groupVersion"] for group in groups for version in group["versions"])]
    listed = api.each([partial(api.json, f"/{'apis' if '/' in version else 'api'}/{version}") for version in versions])
    return frozenset(
        f"{version}/{row['name']}"
        for version, answer in zip(versions, listed, strict=True)
        for row in answer["resources"]
        if "/" not in row["name"] and {"list", "create"} <= set(row.get("verbs", ()))
    )


def unknown_before(before: Collection[str], now: Collection[str]) -> tuple[str, ...]:
    """Return, of each resource that is served now and was not by any of its versions before, one way to ask for it.

    Args:
        before: what was served, as `served` says it.
        now: what is served.
    """
    both = {_split(one) for one in before} & {_split(one) for one in now}
    readable = {resource for resource, _ in both}
    new = {resource: one for one in sorted(now) for resource in [_split(one)[0]] if resource not in readable}
    return tuple(new[resource] for resource in sorted(new))


def holding(api: Api, resources: Collection[str]) -> tuple[str, ...]:
    """Return those of some resources of which there are objects.

    Raises:
        ApiError: the API does not answer.
    """

    def has(resource: str) -> bool:
        path = f"/{'apis' if resource.count('/') > 1 else 'api'}/{resource}?limit=1"
        return bool(api.json(path).get("items"))

    asked = list(resources)
    return tuple(one for one, some in zip(asked, api.each([partial(has, one) for one in asked]), strict=True) if some)


def _split(one: str) -> tuple[str, str]:
    """Return `GROUP/RESOURCE`, which versions share, and the version."""
    *group, version, resource = one.split("/")
    return "/".join((*group, resource)), version
