"""Parts of the run as operations: a program in its place or in the store, an archive of images. Registers no task."""

from __future__ import annotations

from kubeforge.artifacts.model import LocalFile
from kubeforge.engine.model import Context
from kubeforge.errors import ArtifactError
from kubeforge.inventory.model import Host
from kubeforge.operations.artifact import Artifact, Stored
from kubeforge.operations.image import Image
from kubeforge.operations.kept_artifact import KeptArtifact
from kubeforge.operations.model import Entry, LocalContent
from kubeforge.spec.paths import BIN

__all__ = ["image_archive", "is_another", "kept_program", "prepared_program", "program", "pulled", "stored_program"]


def program(context: Context, name: str, path: str) -> Artifact:
    """Return a program at its place.

    Args:
        context: of the host; its architecture decides.
        name: of the part, as `Resolved.files` has it.
        path: where it shall be.

    Raises:
        ArtifactError: the run resolved no such part for this architecture.
    """
    return Artifact(path=path, content=_part(context, name), selinux=_labelled(context))


def kept_program(context: Context, name: str, path: str, aside: str) -> KeptArtifact:
    """Return a program at its place, where what lives runs it: the version before is set aside.

    Args:
        context: of the host.
        name: of the part.
        path: where it shall be.
        aside: where the link lies that was there before.

    Raises:
        ArtifactError: the run resolved no such part for this architecture.
    """
    return KeptArtifact(path=path, content=_part(context, name), selinux=_labelled(context), aside=aside)


def stored_program(context: Context, name: str, host: Host | None = None) -> Stored:
    """Return a program in the store alone: it is there before what uses it is changed.

    Args:
        context: of any host.
        name: of the part.
        host: whose store; None: the context's.

    Raises:
        ArtifactError: the run resolved no such part for this architecture.
    """
    return Stored(name=name, content=_part(context, name, host), selinux=_labelled(context))


def is_another(context: Context, name: str, host: Host | None = None) -> bool:
    """Whether a host was seen to run another version of a program than it shall; not where it has none.

    Args:
        context: of any host; `{BIN}/{name}` was asked for.
        name: of the part.
        host: which; None: the context's.

    Raises:
        ArtifactError: the run resolved no such part for this architecture.
    """
    entry = context.seen[(host or context.host).name].paths.get(f"{BIN}/{name}")
    return isinstance(entry, Entry) and entry.target != stored_program(context, name, host).path


def prepared_program(context: Context, name: str, path: str, *, lives: bool) -> Artifact | Stored:
    """Return a program at its place; where a living node runs another version, in the store until the node's turn."""
    return stored_program(context, name) if lives else program(context, name, path)


def image_archive(context: Context, name: str) -> Image | None:
    """Return the images of an archive, imported; None where nodes pull them."""
    archive = context.parts.archives.get((name, context.mine.arch))
    return None if archive is None else Image(archive=_content(archive.file), images=archive.images)


def pulled(context: Context, *names: str) -> Image:
    """Return images by their logical names, pulled from their registries; any digest will do."""
    return Image(archive=None, images={context.parts.images[name]: "" for name in names})


def _part(context: Context, name: str, host: Host | None = None) -> LocalContent:
    arch = context.mine.arch if host is None else context.facts[host.name].arch
    part = context.parts.files.get((name, arch))
    if part is None:
        raise ArtifactError(
            f"there is no {name} for {arch} among the parts from {context.parts.source}",
            host=context.host.name,
            remedy="kubeforge artifacts list shows what there is",
        )
    return _content(part)


def _labelled(context: Context) -> bool:
    return context.mine.selinux != "disabled"


def _content(part: LocalFile) -> LocalContent:
    return LocalContent(path=part.path, sha256=part.sha256, size=part.size)
