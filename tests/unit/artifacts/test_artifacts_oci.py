"""Image archives: the same bytes for the same input, layers shared, digests that fit."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import ARCHIVES, image_references
from kubeforge.artifacts.images import archive_record, archives, find_archives, recipes
from kubeforge.artifacts.listing import versions_of
from kubeforge.artifacts.model import LocalFile, ProgressEvent, Stage, silent
from kubeforge.artifacts.oci import Entry, Image, make_image, make_layer, write_archive
from kubeforge.artifacts.userland import REVISION

PROGRAMS = ("kube-apiserver", "etcd", "coredns", "pause", "flanneld", "traefik", "hello")
VERSIONS = versions_of("1.36.3")


def layer_tar(file: LocalFile) -> tarfile.TarFile:
    data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(file.path.read_bytes())).read()
    return tarfile.open(fileobj=io.BytesIO(data))


def entries(cache: Cache) -> list[Entry]:
    program = cache.add_bytes(b"#!program" * 1000)
    return [
        Entry(path="/usr/local/bin/b", source=program),
        Entry(path="/usr/local/bin/a", target="b"),
        Entry(path="/etc/passwd", data=b"root\n", mode=0o644),
        Entry(path="/tmp", mode=0o1777),
    ]


def test_a_layer_has_the_same_bytes_in_any_cache_and_order(tmp_path: Path) -> None:
    first, second = Cache(tmp_path / "1"), Cache(tmp_path / "2")
    one = make_layer(first, "base", entries(first))
    two = make_layer(second, "base", reversed(entries(second)))
    assert (one.file.sha256, one.diff_id) == (two.file.sha256, two.diff_id)
    assert one.file.path.read_bytes() == two.file.path.read_bytes()


def test_a_layers_entries(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    layer = make_layer(cache, "base", entries(cache))
    with layer_tar(layer.file) as archive:
        members = {member.name: member for member in archive}
        names = "etc etc/passwd tmp usr usr/local usr/local/bin usr/local/bin/a usr/local/bin/b"
        assert list(members) == names.split()
        assert {(m.uid, m.gid, m.mtime, m.uname) for m in members.values()} == {(0, 0, 0, "")}
        assert members["usr/local/bin/b"].mode == 0o755
        assert members["usr/local/bin/a"].linkname == "b"
        assert members["tmp"].mode == 0o1777
        content = archive.extractfile("etc/passwd")
        assert content is not None
        assert content.read() == b"root\n"


def test_a_layer_is_compressed_once_and_made_again_if_lost(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = make_layer(cache, "base", entries(cache))
    written = first.file.path.stat().st_ino
    assert make_layer(cache, "base", entries(cache)).file.path.stat().st_ino == written
    first.file.path.unlink()
    assert make_layer(cache, "base", entries(cache)).file.sha256 == first.file.sha256


def test_a_path_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="/a is in the layer twice"):
        make_layer(Cache(tmp_path), "x", [Entry(path="/a", data=b""), Entry(path="/a", target="b")])


def read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    assert content is not None
    return content.read()


def check_archive(path: Path) -> dict[str, dict[str, Any]]:
    """Verify every digest and size; returns reference -> config."""
    with tarfile.open(path) as archive:
        names = archive.getnames()
        for name in names:
            if name.startswith("blobs/sha256/"):
                assert hashlib.sha256(read(archive, name)).hexdigest() == name.rpartition("/")[2]
        assert len(names) == len(set(names))
        assert json.loads(read(archive, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        found: dict[str, dict[str, Any]] = {}
        used = {"oci-layout", "index.json"}

        def blob(descriptor: dict[str, Any]) -> bytes:
            name = "blobs/" + descriptor["digest"].replace(":", "/")
            used.add(name)
            data = read(archive, name)
            assert len(data) == descriptor["size"]
            return data

        for row in json.loads(read(archive, "index.json"))["manifests"]:
            manifest = json.loads(blob(row))
            config = json.loads(blob(manifest["config"]))
            layers = [blob(layer) for layer in manifest["layers"]]
            tars = [zstandard.ZstdDecompressor().stream_reader(io.BytesIO(layer)).read() for layer in layers]
            diffs = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
            assert config["rootfs"]["diff_ids"] == diffs
            assert len(config["history"]) == len(diffs)
            assert (config["architecture"], config["os"]) == ("amd64", "linux")
            found[row["annotations"]["io.containerd.image.name"]] = config
        assert used == set(names)
        return found


def test_an_archive_shares_layers_and_its_digests_fit(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    base = make_layer(cache, "base", entries(cache))
    own = make_layer(cache, "own", [Entry(path="/own", data=b"own")])

    def image(name: str, *layers: Any) -> Image:
        return make_image(f"host/{name}:v1", "amd64", layers, {"Entrypoint": [f"/{name}"]})

    images = [image("a", base), image("b", base, own)]
    write_archive(tmp_path / "one.tar", images)
    write_archive(tmp_path / "two.tar", list(reversed(images)))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    configs = check_archive(tmp_path / "one.tar")
    assert configs["host/a:v1"]["config"]["Entrypoint"] == ["/a"]
    with tarfile.open(tmp_path / "one.tar") as archive:
        assert len(archive.getnames()) == 2 + 2 * 2 + 2


@pytest.fixture
def full(tmp_path: Path) -> Cache:
    """A cache that has a userland, so that nothing is fetched."""
    cache = Cache(tmp_path / "cache")
    files = {name: cache.add_bytes(name.encode()) for name in ("busybox", "network:/usr/sbin/nft", "etc:/etc/services")}
    record = {"applets": ["sh", "ls"], "files": Cache.file_entries(files)}
    cache.write_record("userland", f"{REVISION}-amd64", record)
    return cache


def programs(cache: Cache) -> dict[str, LocalFile]:
    return {name: cache.add_bytes(f"program {name}".encode()) for name in PROGRAMS}


def test_all_images_of_a_kubernetes_version(full: Cache) -> None:
    events: list[ProgressEvent] = []
    made = archives(full, VERSIONS, "amd64", programs(full), events.append)
    assert set(made) == set(ARCHIVES)
    references = image_references(VERSIONS)
    for name, archive in made.items():
        configs = check_archive(archive.file.path)
        assert set(configs) == {references[image] for image in ARCHIVES[name]} == set(archive.images)
    proxy = check_archive(made["node"].file.path)[references["kube-proxy"]]
    assert proxy["config"]["Entrypoint"] == ["/usr/local/bin/kube-proxy"]
    assert made["node"].images[references["pause"]] == made["control-plane"].images[references["pause"]]
    assert events[-1].stage is Stage.PACK
    assert events[-1].finished


def test_archives_are_found_again_until_a_program_or_version_changes(full: Cache) -> None:
    parts = programs(full)
    assert find_archives(full, VERSIONS, "amd64", parts) is None
    made = archives(full, VERSIONS, "amd64", parts, silent)
    assert find_archives(full, VERSIONS, "amd64", parts) == made
    changed = parts | {"coredns": full.add_bytes(b"other")}
    assert find_archives(full, VERSIONS, "amd64", changed) is None
    assert find_archives(full, versions_of("1.36.2"), "amd64", parts) is None
    made["addons"].file.path.unlink()
    assert find_archives(full, VERSIONS, "amd64", parts) is None
    again = archives(full, VERSIONS, "amd64", parts, silent)
    assert again == made


def test_the_four_kubernetes_images_share_one_binary(full: Cache) -> None:
    made = archives(full, VERSIONS, "amd64", programs(full), silent)
    found = 0
    with tarfile.open(made["control-plane"].file.path) as archive:
        for name in archive.getnames():
            data = read(archive, name)
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
                found += tar.count(b"program kube-apiserver")
    assert found == 1


def test_every_recipe_runs_something_that_is_in_it() -> None:
    for name, recipe in recipes().items():
        assert recipe.entrypoint or recipe.command, name
    assert recipes()["pause"].settings["User"] == "65535:65535"
    assert "User" not in recipes()["etcd"].settings


def test_a_record_says_versions_and_digests(full: Cache) -> None:
    made = archives(full, VERSIONS, "amd64", programs(full), silent)
    record = archive_record(VERSIONS, made["node"])
    assert record["versions"]["kubernetes"] == "1.36.3"
    assert record["images"] == made["node"].images
