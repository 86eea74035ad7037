"""Audit, authentication, authorization and admission: what an API server would refuse, or would lock everybody out by.

Source: k8s.io/apiserver/pkg/apis/{audit,apiserver}/validation and pkg/apis/apiserver/types.go at v0.36.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kubeforge.errors import Problem
from kubeforge.spec.audit import AuditRule
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.rules.findings import fault

__all__ = ["RULES"]

_NEEDED: Final = ("Node", "RBAC")
_PROBED: Final = ("/livez", "/readyz", "/healthz")
# flag -> the field that says it; with both, nobody could tell which one counts
_FIELDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "api_server": {
        "admission-control-config-file": ("admission", "config"),
        "audit-log-maxage": ("audit",),
        "audit-log-maxbackup": ("audit",),
        "audit-log-maxsize": ("audit",),
        "audit-log-path": ("audit",),
        "audit-policy-file": ("audit",),
        "authentication-config": ("authentication",),
        "authorization-config": ("authorization",),
        "authorization-mode": ("authorization",),
        "disable-admission-plugins": ("admission", "disable"),
        "enable-admission-plugins": ("admission", "enable"),
        "v": ("log_level",),
    },
    "controller_manager": {"v": ("log_level",)},
    "scheduler": {"config": ("config",), "v": ("log_level",)},
    "kubelet": {"v": ("log_level",)},
    "kube_proxy": {"v": ("log_level",)},
}


def said_twice(spec: ClusterSpec) -> Iterator[Problem]:
    """A flag is not given beside the field that says the same."""
    for component, flags in _FIELDS.items():
        section = getattr(spec, component)
        for flag in section.extra_args:
            path = flags.get(flag)
            if path is None:
                continue
            value = section
            for part in path:
                value = getattr(value, part)
            if value not in (None, [], {}):
                message = f"{component}.{'.'.join(path)} says the same; keep one of them"
                yield fault(message, component, "extra_args", flag)
    if spec.api_server.authentication or spec.api_server.oidc:
        for flag in spec.api_server.extra_args:
            if flag.startswith("oidc-") or flag == "anonymous-auth":
                message = "excluded by api_server.authentication and api_server.oidc; say it there"
                yield fault(message, "api_server", "extra_args", flag)


def audit(spec: ClusterSpec) -> Iterator[Problem]:
    """Audit rules select either resources or other URLs, and the log has a place."""
    told = spec.api_server.audit
    if told is None:
        return
    if told.log != "-" and (not told.log.startswith("/") or told.log.count("/") < 2):
        yield fault("give an absolute path below a folder of its own, or `-`", "api_server", "audit", "log")
    for index, rule in enumerate(told.policy.rules):
        for message, field in _rule_faults(rule):
            yield fault(message, "api_server", "audit", "policy", "rules", index, field)


def _rule_faults(rule: AuditRule) -> Iterator[tuple[str, str]]:
    if rule.nonResourceURLs and (rule.resources or rule.namespaces):
        yield (
            "a rule is for resources and namespaces or for URLs that are none; make two rules of it",
            "nonResourceURLs",
        )
    for url in rule.nonResourceURLs:
        if url != "*" and (not url.startswith("/") or "*" in url[:-1]):
            yield f"`{url}` must begin with `/`, and may have one `*`, at its end", "nonResourceURLs"
    for one in rule.resources:
        if one.resourceNames and not one.resources:
            yield "resourceNames need resources beside them", "resources"
        if "/" in one.group or (one.group and one.group != one.group.lower()):
            yield f"`{one.group}` is no API group; write it without version, such as apps", "resources"


def authentication(spec: ClusterSpec) -> Iterator[Problem]:
    """The kubelet's probes ask without a name: an API server that refuses them is restarted for ever."""
    given = spec.api_server.authentication
    for key in ("apiVersion", "kind"):
        if key in given:
            yield fault("leave this out; only the object's other fields go here", "api_server", "authentication", key)
    anonymous = given.get("anonymous")
    if isinstance(anonymous, dict):
        where = ("api_server", "authentication", "anonymous")
        if anonymous.get("enabled") is False:
            yield fault("the kubelet's probes are anonymous: allow them with `conditions`, path by path", *where)
        paths = [row.get("path") for row in anonymous.get("conditions") or () if isinstance(row, dict)]
        missing = [path for path in _PROBED if path not in paths]
        if paths and missing:
            yield fault(f"the kubelet's probes need {', '.join(missing)} too", *where)
    for index, one in enumerate(spec.api_server.oidc):
        if not one.issuer.startswith("https://"):
            yield fault(f"`{one.issuer}` must begin with https://", "api_server", "oidc", index, "issuer")
        if one.ca is not None and "-----BEGIN CERTIFICATE-----" not in one.ca:
            yield fault("must be a certificate in PEM form", "api_server", "oidc", index, "ca")


def authorization(spec: ClusterSpec) -> Iterator[Problem]:
    """Without Node and RBAC no kubelet and no controller may do anything."""
    chain = spec.api_server.authorization
    types = [authorizer.get("type") for authorizer in chain]
    missing = [name for name in _NEEDED if name not in types]
    if chain and missing:
        yield fault(f"lacks {' and '.join(missing)}, without which nothing of the cluster may do its work",
                    "api_server", "authorization")  # fmt: skip
    for index, authorizer in enumerate(chain):
        if not authorizer.get("name"):
            yield fault("every authorizer needs a name", "api_server", "authorization", index)


def scheduler(spec: ClusterSpec) -> Iterator[Problem]:
    """Pods that name no scheduler need one; and what follows from others is not said here."""
    given = spec.scheduler.config
    for key in ("apiVersion", "kind", "clientConnection"):
        if key in given:
            yield fault("leave this out; kubeforge sets it", "scheduler", "config", key)
    names = [row.get("schedulerName") for row in given.get("profiles") or () if isinstance(row, dict)]
    if names and "default-scheduler" not in names:
        message = "lacks default-scheduler: pods that name no scheduler would wait for ever"
        yield fault(message, "scheduler", "config", "profiles")


RULES: Final = (said_twice, audit, authentication, authorization, scheduler)
