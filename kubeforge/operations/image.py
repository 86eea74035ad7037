"""Container images in containerd's namespace for Kubernetes, from an archive or from a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Change, LocalContent, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote
from kubeforge.spec import paths

__all__ = ["Image"]

_CTR = f"ctr -n {paths.CONTAINERD_NAMESPACE} images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Operation):
    """Images that containerd has under their names, with the content that was meant.

    Where containerd does not run, it has none: it is started by an operation before this one.

    Args:
        archive: an OCI archive with all of `images`, imported once; None: each one is pulled from its registry.
        images: reference -> digest of its manifest (as `ctr images ls` says it); an empty digest: any will do.
        deadline: seconds, upload not counted.
    """

    kind: ClassVar[str] = "image"

    archive: LocalContent | None
    images: Mapping[str, str]
    deadline: float = 600.0

    def __post_init__(self) -> None:
        if not self.images:
            raise InputError([Problem(message="image: no image is named")])

    @property
    def title(self) -> str:
        """Its kind, the first reference, and how many more."""
        first, *more = self.images
        return f"{self.kind} {first}" + (f" and {len(more)} more" if more else "")

    def observe(self) -> Queries:
        """Ask containerd for what it has."""
        return Queries(images=tuple(self.images))

    def decide(self, seen: Observation) -> Change | None:
        """Import the archive, or pull what is missing or other."""
        due = [reference for reference, digest in self.images.items() if self._lacks(seen, reference, digest)]
        if not due:
            return None
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why="missing or other: " + ", ".join(due),
            effect=Observation(images={reference: self.images[reference] or "pulled" for reference in due}),
            payload=self.archive,
            lines=(f'{_CTR} import "$P"',) if self.archive is not None else self._pulls(due),
            deadline=self.deadline,
        )

    def _lacks(self, seen: Observation, reference: str, digest: str) -> bool:
        found = seen.images.get(reference)
        return found is None or bool(digest and found != digest)

    def _pulls(self, due: list[str]) -> tuple[str, ...]:
        """Each is checked after it came: a registry may have another image under that name by now."""
        lines = []
        for reference in due:
            lines.append(f"{_CTR} pull {quote(reference)}")
            if digest := self.images[reference]:
                lines.append(f"echo {quote(f'{reference} shall be {digest}; containerd has:')}")
                lines.append(f"{_CTR} ls {quote(f'name=={reference}')}")
                lines.append(f"{_CTR} ls {quote(f'name=={reference}')} | grep -F -- {quote(digest)} >/dev/null")
        return tuple(lines)
