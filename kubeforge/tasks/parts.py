"""Parts of the run as operations: a program in its place, an archive of images. Registers no task."""

from __future__ import annotations

from kubeforge.artifacts.model import LocalFile
from kubeforge.engine.model import Context
from kubeforge.errors import ArtifactError
from kubeforge.operations.artifact import Artifact
from kubeforge.operations.image import Image
from kubeforge.operations.model import LocalContent

__all__ = ["image_archive", "program", "pulled"]


def program(context: Context, name: str, path: str) -> Artifact:
    """Return a program at its place.

    Args:
        context: of the host; its architecture decides.
        name: of the part, as `Resolved.files` has it.
        path: where it shall be.

    Raises:
        ArtifactError: the run resolved no such part for this architecture.
    """
    arch = context.mine.arch
    part = context.parts.files.get((name, arch))
    if part is None:
        raise ArtifactError(
            f"there is no {name} for {arch} among the parts from {context.parts.source}",
            host=context.host.name,
            remedy="kubeforge artifacts list shows what there is",
        )
    return Artifact(path=path, content=_content(part), selinux=context.mine.selinux != "disabled")


def image_archive(context: Context, name: str) -> Image | None:
    """Return the images of an archive, imported; None where nodes pull them."""
    archive = context.parts.archives.get((name, context.mine.arch))
    return None if archive is None else Image(archive=_content(archive.file), images=archive.images)


def pulled(context: Context, *names: str) -> Image:
    """Return images by their logical names, pulled from their registries; any digest will do."""
    return Image(archive=None, images={context.parts.images[name]: "" for name in names})


def _content(part: LocalFile) -> LocalContent:
    return LocalContent(path=part.path, sha256=part.sha256, size=part.size)
