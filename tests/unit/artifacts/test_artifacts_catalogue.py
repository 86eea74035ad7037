"""The catalogue's tables agree with themselves, with the releases and with the pinned components."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from kubeforge.artifacts.catalogue import (
    ARCHIVES,
    FILES,
    IMAGES,
    PARTS,
    archive_path,
    image_references,
    known_digest,
    mirror_path,
    plain_path,
    unpacked_path,
    upstream_files,
)
from kubeforge.artifacts.components import COMPONENTS, COMPONENTS_FOLDER, newest
from kubeforge.artifacts.images import recipes
from kubeforge.artifacts.listing import versions_of
from kubeforge.artifacts.model import ARCHES, Versions
from kubeforge.artifacts.resolve import components_of
from kubeforge.spec.releases import MINORS

FIELDS = set(Versions.__dataclass_fields__)
HOSTS = {"dl.k8s.io", "github.com"}


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("arch", ARCHES)
def test_every_minor_has_every_part_from_upstream_over_tls(minor: str, arch: str) -> None:
    files = list(upstream_files(versions_of(minor), arch))
    assert [file.part for file in files] == list(PARTS)
    for file in files:
        for url in (file.url, file.published):
            assert urlsplit(url).scheme == "https"
            assert urlsplit(url).hostname in HOSTS
            assert "{" not in url
        assert arch in file.url
        assert file.version in file.url
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


@pytest.mark.parametrize("version", ["1.35.4", "1.36.3"])
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", ["kubelet", "kubeadm", "kubectl"])
def test_digests_of_the_pinned_kubernetes_are_known_and_differ(version: str, arch: str, name: str) -> None:
    digest = known_digest(name, version, arch)
    assert digest is not None
    others = [known_digest(other, version, each) for other in ("kubelet", "kubeadm", "kubectl") for each in ARCHES]
    assert others.count(digest) == 1


def test_an_unknown_version_has_no_digest() -> None:
    assert known_digest("kubelet", "1.99.0", "amd64") is None
    assert known_digest("nothing", "1.36.3", "amd64") is None


def test_one_known_digest_is_what_kubernetes_published() -> None:
    expected = "46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718"
    assert known_digest("kubelet", "1.36.3", "amd64") == expected


def test_mirror_paths_are_upstreams_and_unique() -> None:
    versions = versions_of("1.36.3")
    files = list(upstream_files(versions, "amd64"))
    by_name = {name: plain_path(file, name) for file in files for name in (file.members or {file.part.name: ""})}
    assert by_name["kubelet"] == "dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"
    assert by_name["etcdctl"] == ("github.com/etcd-io/etcd/releases/download/v3.6.16/etcd-v3.6.16-linux-amd64/etcdctl")
    assert by_name["ctr"].endswith("/v2.3.7/containerd-static-2.3.7-linux-amd64/bin/ctr")
    assert len(set(by_name.values())) == len(by_name)
    assert set(by_name) == set(FILES)


def test_unpacked_path_drops_the_archives_own_folder_only_where_there_is_one() -> None:
    assert unpacked_path("https://h/a-1.tar.gz", "a-1/x") == "h/a-1/x"
    assert unpacked_path("https://h/a-1.tgz", "bin/x") == "h/a-1/bin/x"
    assert mirror_path("https://h/p/f") == "h/p/f"
    assert archive_path(versions_of("1.36.3"), "arm64", "node") == "kubeforge/images/v1.36.3/linux/arm64/node.tar"


def test_archives_hold_known_images_and_a_control_plane_can_be_a_worker() -> None:
    assert {name for names in ARCHIVES.values() for name in names} == set(IMAGES) == set(recipes())
    assert set(ARCHIVES["node"]) <= set(ARCHIVES["control-plane"])


def test_references_are_complete_and_only_own_images_are_left_out() -> None:
    versions = versions_of("1.36.3")
    references = image_references(versions)
    assert references["kube-apiserver"] == "registry.k8s.io/kube-apiserver:v1.36.3"
    assert references["etcd"] == "registry.k8s.io/etcd:3.6.16-0"
    assert set(references) - set(image_references(versions, own=False)) == {"hello"}
    for reference in references.values():
        assert re.fullmatch(r"[a-z0-9.]+(/[a-z0-9-]+)+:[a-z0-9.-]+", reference)


@pytest.mark.parametrize("row", COMPONENTS, ids=lambda row: row.label)
def test_go_mod_pins_the_rows_version_and_go_sum_proves_it(row: object) -> None:
    component = next(each for each in COMPONENTS if each is row)
    folder = COMPONENTS_FOLDER / component.folder
    go_mod = (folder / "go.mod").read_text()
    assert f"module kubeforge/components/{component.folder}\n" in go_mod
    if component.module:
        pinned = re.escape(f"{component.module} v{component.version}")
        assert re.search(rf"^(require |\t){pinned}( // indirect)?$", go_mod, re.MULTILINE)
        assert f"{component.module} v{component.version} h1:" in (folder / "go.sum").read_text()
    else:
        assert "require" not in go_mod
    own = any(target.package == "." for target in component.targets)
    assert (folder / "main.go").exists() == own
    for target in component.targets:
        assert own or f"tool {target.package}\n" in go_mod or f"\t{target.package}\n" in go_mod


@pytest.mark.parametrize("version", ["1.35.4", "1.36.3"])
def test_every_staging_module_has_kubernetes_own_version(version: str) -> None:
    minor = version.rpartition(".")[0]
    go_mod = (COMPONENTS_FOLDER / f"kubernetes-{minor}" / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", go_mod, re.MULTILINE)
    assert len(replaced) > 30
    assert all(name == target and pin == f"v0.{version[2:]}" for name, target, pin in replaced)


@pytest.mark.parametrize("version", ["1.35.4", "1.36.3"])
def test_everything_that_nodes_need_is_compiled(version: str) -> None:
    rows = components_of(versions_of(version))
    made = {name for row in rows for target in row.targets for name in target.names}
    assert set(FILES) <= made
    assert made >= {"kube-apiserver", "kube-proxy", "flanneld", "coredns", "traefik", "pause", "hello"}


def test_components_follow_versions_and_folders_are_all_used() -> None:
    assert {row.name.replace("-", "_") for row in COMPONENTS} - FIELDS == {"cni_flannel", "hello"}
    assert {row.folder for row in COMPONENTS} == {path.name for path in COMPONENTS_FOLDER.iterdir()}
    assert newest("kubernetes") == "1.36.3"


def test_one_main_go_serves_all_minors_of_kubernetes() -> None:
    """The others are links to it: what is written into it holds for all, and their bytes are part of each key."""
    files = sorted(COMPONENTS_FOLDER.glob("kubernetes-*/main.go"))
    assert len(files) == len([row for row in COMPONENTS if row.name == "kubernetes"])
    assert len({path.resolve() for path in files}) == 1
