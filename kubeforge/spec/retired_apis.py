"""API versions that a minor serves no more. Data; what is really asked for is told by the API server's own metric.

Sources: kubernetes.io/docs/reference/using-api/deprecation-guide for what it lists (up to 1.32). After that no version
that is served by default has gone; betas that are off by default go by rule 4a of the deprecation policy
(kubernetes.io/docs/reference/using-api/deprecation-policy): deprecated at the latest three minors after they came, and
gone three minors later. Their rows name the minor they came with (by the release announcements) and follow the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["RETIRED", "RetiredApi"]

_BETA_LIVES: Final = 6  # minors, see above


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredApi:
    """One API version of some resources.

    Args:
        group_version: `networking.k8s.io/v1beta1`.
        resources: plural names.
        removed: first minor that does not serve it.
    """

    group_version: str
    resources: tuple[str, ...]
    removed: str


def _beta(group_version: str, *resources: str, since: int) -> RetiredApi:
    """Return a row of a beta that came with 1.`since`."""
    return RetiredApi(group_version=group_version, resources=resources, removed=f"1.{since + _BETA_LIVES}")


RETIRED: Final[tuple[RetiredApi, ...]] = (
    RetiredApi(
        group_version="flowcontrol.apiserver.k8s.io/v1beta3",
        resources=("flowschemas", "prioritylevelconfigurations"),
        removed="1.32",
    ),
    _beta(
        "admissionregistration.k8s.io/v1beta1",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        since=28,
    ),
    _beta("networking.k8s.io/v1beta1", "ipaddresses", "servicecidrs", since=31),
    _beta("storage.k8s.io/v1beta1", "volumeattributesclasses", since=31),
    _beta(
        "resource.k8s.io/v1beta1",
        "deviceclasses",
        "resourceclaims",
        "resourceclaimtemplates",
        "resourceslices",
        since=32,
    ),
)
