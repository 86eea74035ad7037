"""`kubeforge artifacts …`: the parts clusters are made of. No logic here: see kubeforge.artifacts."""
# ruff: noqa: PLC0415 - completion and --help of everything else must not wait for what only these verbs need

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kubeforge.artifacts.model import Resolved, SourceChoice

__all__ = ["artifacts"]

_ARCHES = click.Choice(["amd64", "arm64"])
_kubernetes = click.option("--kubernetes", "kubernetes", multiple=True, metavar="VERSION", help="May be repeated.")


@click.group()
def artifacts() -> None:
    """The parts clusters are made of: what exists, and verified copies of it."""


@artifacts.command("list")
@_kubernetes
@click.option("--arch", multiple=True, type=_ARCHES, help="Default: all.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def list_(kubernetes: tuple[str, ...], arch: tuple[str, ...], output: str) -> None:
    """List every file, image and package, with official URL and SHA-256."""
    from kubeforge.artifacts.cache import Cache
    from kubeforge.artifacts.console import show_rows
    from kubeforge.artifacts.listing import rows
    from kubeforge.artifacts.model import ARCHES
    from kubeforge.spec.releases import MINORS

    show_rows(list(rows(kubernetes or MINORS, arch or ARCHES, Cache.default())), output)


@artifacts.command()
@_kubernetes
@click.option("--arch", multiple=True, type=_ARCHES, help="Default: this machine's.")
@click.option("--source", type=click.Choice(["auto", "mirror", "upstream", "source"]), default="auto")
@click.option("--mirror", metavar="DIRECTORY|URL", help="Take everything from there.")
@click.option("--sha256", metavar="DIGEST", help="Digest of the mirror's SHA256SUMS.")
@click.option(
    "--lock",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("artifacts.lock"),
    show_default=True,
    help="Keeps digests that the catalogue does not know.",
)
def fetch(  # noqa: PLR0917 - click passes them by name
    kubernetes: tuple[str, ...], arch: tuple[str, ...], source: str, mirror: str | None, sha256: str | None, lock: Path
) -> None:
    """Bring everything that clusters of these versions need into the cache."""
    from kubeforge.artifacts.model import SourceChoice, SourceKind

    choice = SourceChoice(kind=SourceKind(source), mirror=mirror, sha256=sha256, lock=lock)
    for version in kubernetes or _default():
        _summarise(version, _resolve(version, arch, choice))


@artifacts.command()
@click.argument("component", nargs=-1)
@_kubernetes
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the mirror is laid out; default: mirror/ in the cache.",
)
def build(component: tuple[str, ...], kubernetes: tuple[str, ...], directory: Path | None) -> None:
    """Compile parts from Go modules and lay them out as a mirror.

    With COMPONENT: compile only those, and make no mirror.
    """
    from kubeforge.artifacts.build import build_components, build_mirror
    from kubeforge.artifacts.cache import Cache
    from kubeforge.artifacts.console import ConsoleProgress

    cache = Cache.default()
    with ConsoleProgress() as progress:
        if component:
            for name, file in build_components(component, kubernetes or None, cache, progress).items():
                click.echo(f"{file.sha256}  {file.size:>11}  {name}  {file.path}")
            return
        made = build_mirror(kubernetes or _default(), directory or cache.root / "mirror", cache, progress)
    click.echo(f"artifacts: {{mirror: {made.folder}, sha256: {made.sha256}}}")


@artifacts.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The mirror; default: mirror/ in the cache.",
)
@click.option("--bind", default="127.0.0.1:8080", show_default=True, metavar="ADDRESS[:PORT]")
def serve(directory: Path | None, bind: str) -> None:
    """Serve a mirror over HTTP until Ctrl-C."""
    from kubeforge.artifacts.cache import cache_root, file_digest
    from kubeforge.artifacts.mirror import SUMS
    from kubeforge.artifacts.serve import parse_bind, server

    folder = directory or cache_root() / "mirror"
    with server(folder, parse_bind(bind), lambda line: click.echo(line, err=True)) as listening:
        digest = file_digest(folder / SUMS)[0]
        host, port = listening.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else host
        click.echo(f"artifacts: {{mirror: 'http://{shown!s}:{port}', sha256: {digest}}}")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


def _default() -> tuple[str, ...]:
    """Return the version taken when none is named: the newest that can be compiled from source."""
    from kubeforge.artifacts.components import newest

    return (newest("kubernetes"),)


def _resolve(version: str, arches: tuple[str, ...], choice: SourceChoice) -> Resolved:
    from kubeforge.artifacts.cache import Cache
    from kubeforge.artifacts.console import ConsoleProgress
    from kubeforge.artifacts.listing import versions_of
    from kubeforge.artifacts.resolve import resolve
    from kubeforge.artifacts.source import machine_arch

    with ConsoleProgress() as progress:
        return resolve(
            versions_of(version),
            arches=arches or (machine_arch(),),
            source=choice,
            cache=Cache.default(),
            progress=progress,
        )


def _summarise(version: str, found: Resolved) -> None:
    size = sum({file.sha256: file.size for file in found.files.values()}.values())
    size += sum(archive.file.size for archive in found.archives.values())
    click.echo(
        f"Kubernetes {version}: {len(found.files)} files, {len(found.archives)} image archives, "
        f"{size / 1e6:.0f} MB, from {found.source}"
    )
