"""The audit policy, field by field as Kubernetes names it, so that a wrong one is refused before it is on any host.

An API server given a policy it cannot read does not start. Source: k8s.io/apiserver/pkg/apis/audit/v1/types.go and
apis/audit/validation at v0.36.3.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kubeforge.spec.base import Model

__all__ = ["AuditPolicy", "AuditRule", "GroupResources"]

Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]


class GroupResources(Model):
    """Resources of one API group."""

    group: str = ""
    """Empty: the core group."""
    resources: list[str] = Field(default_factory=list)
    """`pods`, `pods/log`, `pods/*`, `*/scale`; none: all."""
    resourceNames: list[str] = Field(default_factory=list)  # noqa: N815 - Kubernetes' own name


class AuditRule(Model):
    """What is written down of requests that match; the first rule that matches counts."""

    level: Literal["None", "Metadata", "Request", "RequestResponse"]
    users: list[str] = Field(default_factory=list)
    userGroups: list[str] = Field(default_factory=list)  # noqa: N815 - Kubernetes' own name
    verbs: list[str] = Field(default_factory=list)
    resources: list[GroupResources] = Field(default_factory=list)
    namespaces: list[str] = Field(default_factory=list)
    nonResourceURLs: list[str] = Field(default_factory=list)  # noqa: N815 - Kubernetes' own name
    omitStages: list[Stage] = Field(default_factory=list)  # noqa: N815 - Kubernetes' own name
    omitManagedFields: bool | None = None  # noqa: N815 - Kubernetes' own name


class AuditPolicy(Model):
    """Policy of audit.k8s.io/v1, without its header."""

    rules: Annotated[list[AuditRule], Field(min_length=1)]
    omitStages: list[Stage] = Field(default_factory=list)  # noqa: N815 - Kubernetes' own name
    omitManagedFields: bool | None = None  # noqa: N815 - Kubernetes' own name

    def as_object(self) -> dict[str, Any]:
        """Return the object that the API server reads."""
        return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **self.model_dump(exclude_defaults=True)}
