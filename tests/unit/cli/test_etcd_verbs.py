"""`kubeforge etcd …` on hosts in memory: what is printed, in which form, and how it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kubeforge.cli import etcd as verbs
from kubeforge.cli import etcd_snapshot as snapshot_verbs
from kubeforge.cli import root
from tests.unit.tasks.conftest import Site
from tests.unit.tasks.memory_snapshots import Shelf


@pytest.fixture
def shelf(sample: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf(Site(sample(control_planes=3, workers=1)))

    @contextmanager
    def asking(*_: object) -> Iterator[Any]:
        yield made.site.sample.inventory, lambda name: made.site.hosts[name]

    monkeypatch.setattr(verbs, "asking", asking)
    monkeypatch.setattr(snapshot_verbs, "asking", asking)
    return made


def call(*words: str) -> Result:
    return CliRunner().invoke(root, ["etcd", *words], catch_exceptions=False)


def test_members(shelf: Shelf) -> None:
    told = call("members")
    assert told.exit_code == 0
    assert [line.split()[0] for line in told.output.splitlines()] == ["MEMBER", "cp1", "cp2", "cp3"]
    assert [one["id"] for one in json.loads(call("members", "-o", "json").output)] == ["1", "2", "3"]


def test_status_leaves_with_1_where_something_is_amiss(shelf: Shelf) -> None:
    assert call("status").exit_code == 0
    shelf.etcd.down = {"cp2"}
    told = call("status")
    assert told.exit_code == 1
    assert "2 of 3 members serve; etcd can do without none of them" in told.output
    assert json.loads(call("status", "-o", "json").output)["members"][1]["problem"]


def test_snapshots(shelf: Shelf, tmp_path: Path) -> None:
    assert call("snapshot", "list").output.split() == [
        *("NAME", "TIME", "REASON", "REVISION", "KEYS", "SIZE", "KUBERNETES", "KEPT", "ON")
    ]
    made = shelf.take("cp2")
    (told,) = json.loads(call("snapshot", "list", "-o", "json").output)["snapshots"]
    assert (told["name"], told["kept_on"], told["revision"]) == (made.name, ["cp2"], 7)
    one = call("snapshot", "status", "latest")
    assert one.exit_code == 0
    assert "copy on cp2  whole" in one.output
    path = next(path for path in shelf.site.hosts["cp2"].state.paths if path.endswith("snapshot.db"))
    shelf.site.hosts["cp2"].put(path, b"damaged")
    damaged = call("snapshot", "status", made.name, "-o", "json")
    assert damaged.exit_code == 1
    assert json.loads(damaged.output)["copies"] == {"cp2": False}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("snapshot", "restore", "latest", "--yes", "--limit", "cp1"), "no --limit, no --tags"),
        (("snapshot", "restore", "latest", "--yes", "--tags", "x"), "no --limit, no --tags"),
        (("snapshot", "restore", "latest"), "give --yes"),
        (("defrag", "--yes", "--limit", "cp1"), "no --limit"),
        (("defrag",), "give --yes"),
        (("snapshot", "restore"), "Missing argument"),
        (("snapshot", "save", "--limit", "cp1"), "named with --from"),
    ],
)
def test_what_is_no_command_line(words: tuple[str, ...], said: str) -> None:
    told = call(*words)
    assert told.exit_code == 2
    assert said in told.output
