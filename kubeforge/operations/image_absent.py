"""Container images whose names shall be gone from containerd; what runs of them runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join
from kubeforge.spec import paths

__all__ = ["ImagesAbsent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesAbsent(Operation):
    """No image has one of these names in containerd's namespace for Kubernetes.

    Args:
        images: references.
        why: for the plan.
    """

    kind: ClassVar[str] = "images absent"

    images: tuple[str, ...]
    why: str

    @property
    def title(self) -> str:
        """Its kind, and how many."""
        return f"{self.kind}: {len(self.images)}"

    def observe(self) -> Queries:
        """Ask containerd for what it has."""
        return Queries(images=self.images)

    def decide(self, seen: Observation) -> Change | None:
        """Remove the names that are there."""
        due = [reference for reference in self.images if seen.images.get(reference) is not None]
        if not due:
            return None
        return Change(
            title=self.title,
            verb=Verb.REMOVE,
            why=f"{self.why}: {', '.join(due)}",
            effect=Observation(images=dict.fromkeys(due)),
            lines=(f"ctr -n {paths.CONTAINERD_NAMESPACE} images rm {join(due)} >/dev/null",),
        )
