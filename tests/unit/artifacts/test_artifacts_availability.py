"""What a source has and lacks, looked up without fetching: mirror, upstream, source, what is here."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from kubeforge.artifacts.availability import Shelf
from kubeforge.artifacts.cache import Cache, file_digest
from kubeforge.artifacts.catalogue import ARCHIVES, archive_path, plain_path, upstream_files
from kubeforge.artifacts.download import exists
from kubeforge.artifacts.mirror import SUMS
from kubeforge.artifacts.model import SourceChoice, SourceKind, Versions
from kubeforge.artifacts.upstream import PROBE_URL
from kubeforge.errors import ArtifactError
from kubeforge.spec.releases import RELEASES, release

VERSIONS = Versions.of(release("1.36"), "1.36.3")
LATER = Versions.of(release("1.37"))


def shelf(tmp_path: Path, kind: SourceKind, there: bool | None = None, **more: str) -> Shelf:
    choice = SourceChoice(kind=kind, lock=None, **more)
    return Shelf(choice, Cache(tmp_path / "cache"), exists=lambda _: there)


def mirror(folder: Path, *, lacks: str = "", archives: bool = False) -> str:
    """Write a mirror's list of digests; return its digest."""
    paths = [
        plain_path(file, name)
        for file in upstream_files(VERSIONS, "amd64")
        for name in file.members or {file.part.name: ""}
    ]
    if archives:
        paths += [
            archive_path(VERSIONS, "amd64", name).removesuffix(".tar") + end
            for name in ARCHIVES
            for end in (".tar", ".json")
        ]
    folder.mkdir()
    lines = [f"{'0' * 64}  {path}\n" for path in paths if not lacks or lacks not in path]
    (folder / SUMS).write_text("".join(lines))
    return file_digest(folder / SUMS)[0]


def test_source_has_what_is_pinned(tmp_path: Path) -> None:
    made = shelf(tmp_path, SourceKind.SOURCE)
    assert made.kubernetes() == ("1.35.4", "1.36.3")
    found = made.look(VERSIONS, "amd64")
    assert (found.source, found.missing, found.pulls, found.files) == ("source", (), False, {})
    assert found.compiles > 60


def test_source_lacks_what_is_not_pinned(tmp_path: Path) -> None:
    found = shelf(tmp_path, SourceKind.SOURCE).look(LATER, "amd64")
    assert any(line.startswith("kubernetes 1.37.0: pinned are ") for line in found.missing)
    assert any(line.startswith("etcd 3.7.0: pinned are ") for line in found.missing)


def test_upstream_has_all_that_is_known(tmp_path: Path) -> None:
    made = shelf(tmp_path, SourceKind.UPSTREAM, there=True)
    assert made.kubernetes() == tuple(row.kubernetes for row in RELEASES)
    found = made.look(VERSIONS, "arm64")
    assert (found.source, found.missing, found.doubtful, found.pulls) == ("upstream", (), (), True)
    assert "hello" not in found.images, "no registry has it"


@pytest.mark.parametrize(("there", "field"), [(False, "missing"), (None, "doubtful")])
def test_upstream_lacks_or_does_not_answer(tmp_path: Path, there: bool | None, field: str) -> None:
    found = shelf(tmp_path, SourceKind.UPSTREAM, there=there).look(VERSIONS, "amd64")
    told = getattr(found, field)
    assert len(told) == len(list(upstream_files(VERSIONS, "amd64")))
    assert any("/v1.36.3/bin/linux/amd64/kubelet" in line for line in told)


@pytest.mark.parametrize(("there", "source"), [(True, "upstream"), (None, "source")])
def test_of_itself_it_takes_upstream_where_that_answers(tmp_path: Path, there: bool | None, source: str) -> None:
    asked: list[str] = []

    def answer(url: str) -> bool | None:
        asked.append(url)
        return there

    made = Shelf(SourceChoice(), Cache(tmp_path / "cache"), exists=answer)
    assert made.look(VERSIONS, "amd64").source == source
    assert ("1.37.0" in made.kubernetes()) is (there is True)
    assert asked.count(PROBE_URL) == 1


def test_a_mirror(tmp_path: Path) -> None:
    digest = mirror(tmp_path / "mirror", archives=True)
    made = shelf(tmp_path, SourceKind.AUTO, mirror=str(tmp_path / "mirror"), sha256=digest)
    assert made.kubernetes() == ("1.36.3",)
    found = made.look(VERSIONS, "amd64")
    assert (found.missing, found.pulls, found.archives) == ((), False, {})
    assert found.source == f"mirror {tmp_path / 'mirror'}"
    assert made.look(LATER, "amd64").missing


def test_a_mirror_without_archives_leaves_images_to_registries(tmp_path: Path) -> None:
    digest = mirror(tmp_path / "mirror")
    made = shelf(tmp_path, SourceKind.MIRROR, mirror=str(tmp_path / "mirror"), sha256=digest)
    assert made.look(VERSIONS, "amd64").pulls


def test_a_mirror_that_lacks_something(tmp_path: Path) -> None:
    digest = mirror(tmp_path / "mirror", lacks="kubeadm")
    made = shelf(tmp_path, SourceKind.MIRROR, mirror=str(tmp_path / "mirror"), sha256=digest)
    assert made.look(VERSIONS, "amd64").missing == ("dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubeadm",)


def test_a_mirror_that_is_not_there(tmp_path: Path) -> None:
    made = shelf(tmp_path, SourceKind.MIRROR, mirror=str(tmp_path / "none"), sha256="0" * 64)
    with pytest.raises(ArtifactError):
        made.kubernetes()
    assert "cannot read" in made.look(VERSIONS, "amd64").missing[0]


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False), (403, False), (500, None), (429, None)])
def test_what_a_server_says_of_a_file(status: int, there: bool | None) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status))
    assert exists("https://files.test/x", within=1.0, transport=transport) is there


def test_a_server_that_does_not_answer() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no", request=request)

    assert exists("https://files.test/x", within=1.0, transport=httpx2.MockTransport(refuse)) is None
