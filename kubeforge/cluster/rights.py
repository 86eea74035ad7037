"""Asks the API what somebody may do (SubjectAccessReview). Grants nothing.

An API server answers before its own roles exist: they are made one after the other during its first seconds. Whoever is
started meanwhile is refused once and tries again only much later, so it is better to ask first.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubeforge.cluster.api import Api

__all__ = ["may"]


def may(
    api: Api,
    user: str,
    verb: str,
    resource: str,
    *,
    groups: Sequence[str] = (),
    namespace: str = "",
    name: str = "",
) -> bool:
    """Return whether a user may do something.

    Args:
        api: whom to ask.
        user: `system:kube-controller-manager`.
        verb: `update`.
        resource: `leases.coordination.k8s.io`; the part behind the first dot is the API group.
        groups: groups of the user.
        namespace: empty for what has none.
        name: of the object; empty for any.
    """
    plural, _, group = resource.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace, "name": name}
    review = {"user": user, "groups": list(groups), "resourceAttributes": attributes}
    answer = api.post(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": review},
    )
    return bool((answer.get("status") or {}).get("allowed"))
