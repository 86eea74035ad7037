from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.cluster.kubeconfig import fetch, merge_into, merged, named
from kubeforge.errors import ApiUnavailable, ConnectionFailed, InputError, KubeforgeError
from kubeforge.secret import Secret
from kubeforge.transport.base import Completed

ADMIN = """
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {certificate-authority-data: Y2E=, server: 'https://10.0.0.1:6443'}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Y3J0, client-key-data: a2V5}}]
contexts: [{name: kubernetes-admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}]
current-context: kubernetes-admin@kubernetes
"""


class Plane:
    """As much of a Remote as `fetch` uses."""

    def __init__(self, host: str, content: bytes | None, *, down: bool = False) -> None:
        self.host, self.content, self.down = host, content, down

    def run(self, argv: Sequence[str], *, expect: Sequence[int]) -> Completed:
        if self.down:
            raise ConnectionFailed("no route to host", host=self.host)
        status = 66 if self.content is None else 0
        assert status in expect
        return Completed(status=status, stdout=self.content or b"", stderr=b"")


def turns(*planes: Plane) -> Any:
    return [lambda plane=plane: plane for plane in planes]


def test_first_control_plane_that_has_one() -> None:
    got = fetch(turns(Plane("cp1", None, down=True), Plane("cp2", None), Plane("cp3", b"it")))
    assert got == ("cp3", Secret("it"))


def test_none_has_one() -> None:
    with pytest.raises(ApiUnavailable) as caught:
        fetch(turns(Plane("cp1", None, down=True), Plane("cp2", None)))
    assert caught.value.evidence == ("cp1: no route to host", "cp2: has no /etc/kubernetes/admin.conf")


def test_named_after_the_cluster() -> None:
    config = yaml.safe_load(named(Secret(ADMIN), name="demo", server="https://a:1", tls_server_name="k").reveal())
    assert config["clusters"][0] == {
        "name": "demo",
        "cluster": {"certificate-authority-data": "Y2E=", "server": "https://a:1", "tls-server-name": "k"},
    }
    assert config["users"][0]["name"] == "demo-admin"
    assert config["contexts"] == [{"name": "demo", "context": {"cluster": "demo", "user": "demo-admin"}}]
    assert config["current-context"] == "demo"


@pytest.mark.parametrize("text", ["", "[]", "clusters: []", "client-key-data: a2V5: x", "clusters: [{}]"])
def test_not_a_kubeconfig_and_never_quoted(text: str) -> None:
    with pytest.raises(KubeforgeError) as caught:
        named(Secret(text), name="demo", server="https://a:1")
    assert "a2V5" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_merging_replaces_entries_of_the_same_name_only() -> None:
    added = yaml.safe_load(named(Secret(ADMIN), name="demo", server="https://new:1").reveal())
    old = yaml.safe_load(named(Secret(ADMIN), name="demo", server="https://old:1").reveal())
    other = yaml.safe_load(named(Secret(ADMIN), name="other", server="https://other:1").reveal())
    result = merged(merged(other, old), added)
    assert [(entry["name"], entry["cluster"]["server"]) for entry in result["clusters"]] == [
        ("other", "https://other:1"),
        ("demo", "https://new:1"),
    ]
    assert result["current-context"] == "demo"
    assert merged(added, added) == added


def test_merge_into_files(tmp_path: Path) -> None:
    mine = named(Secret(ADMIN), name="demo", server="https://a:1")
    target = tmp_path / "kube" / "config"
    merge_into(target, mine)
    assert target.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(target.read_text())["current-context"] == "demo"
    link = tmp_path / "link"
    link.symlink_to(target)
    merge_into(link, named(Secret(ADMIN), name="second", server="https://b:1"))
    assert link.is_symlink()
    assert [entry["name"] for entry in yaml.safe_load(target.read_text())["contexts"]] == ["demo", "second"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("text", ["a: b: c", "[1]", "just text", "clusters: 1", "clusters: [{cluster: {}}]"])
def test_other_files_stay(tmp_path: Path, text: str) -> None:
    target = tmp_path / "config"
    target.write_text(text)
    with pytest.raises(InputError, match="1 problem") as caught:
        merge_into(target, named(Secret(ADMIN), name="demo", server="https://a:1"))
    assert "is not a kubeconfig; it stays as it is" in str(caught.value)
    assert target.read_text() == text


def test_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        merge_into(tmp_path / "file" / "config", named(Secret(ADMIN), name="demo", server="https://a:1"))
    assert "cannot be written" in str(caught.value)
