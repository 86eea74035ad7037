"""One value of cluster.yml is replaced where it stands; everything else keeps its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.spec.rewriting import rewrite, with_version


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a\nkubernetes: 1.35.4\n", "name: a\nkubernetes: 1.36.3\n"),
        ("# ä\nkubernetes:   1.35.4   # why\nname: a", "# ä\nkubernetes:   1.36.3   # why\nname: a"),
        ("kubernetes: '1.35.4'\r\nname: a\r\n", "kubernetes: '1.36.3'\r\nname: a\r\n"),
        ('{"kubernetes": "1.35.4", name: a}', '{"kubernetes": "1.36.3", name: a}'),
        ("nodes: {w1: {labels: {kubernetes: 1.35.4}}}\nkubernetes: 1.35.4\n",
         "nodes: {w1: {labels: {kubernetes: 1.35.4}}}\nkubernetes: 1.36.3\n"),
    ],
)  # fmt: skip
def test_the_value_alone_is_replaced(before: str, after: str) -> None:
    assert with_version(before, "1.36.3") == after


@pytest.mark.parametrize(
    "text",
    [
        "name: a\n",
        "kubernetes: &v 1.35.4\nname: a\n",
        "a: &v 1.35.4\nkubernetes: *v\n",
        "kubernetes: [1.35.4]\n",
        "kubernetes: >\n  1.35.4\n",
        "- kubernetes: 1.35.4\n",
        "kubernetes: {\n",
        "",
    ],
)
def test_what_stands_otherwise_is_left_to_its_writer(text: str) -> None:
    assert with_version(text, "1.36.3") is None


def test_the_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yml", tmp_path / "cluster.yml"
    real.write_text("kubernetes: 1.35.4\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert rewrite(link, "1.36.3")
    assert (link.is_symlink(), real.read_text(), real.stat().st_mode & 0o777) == (True, "kubernetes: 1.36.3\n", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.yml", "real.yml"]
    real.write_text("kubernetes: &v 1.35.4\n")
    assert not rewrite(link, "1.36.3")
