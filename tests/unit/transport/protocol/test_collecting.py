"""Old generations and programs go, and never one that is needed: real shells, real files."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.collecting import collect_host
from kubeforge.engine.events import Collected
from kubeforge.engine.generations import Ledger, read_ledger, reset, rollback
from kubeforge.errors import ChangedUnderneath, OperationFailed
from kubeforge.operations import Absent, Artifact, Directory, File, Symlink
from kubeforge.operations.model import Change, LocalContent, Observation, Operation, Queries, Result

from .conftest import SHELLS, USERS, Host, make

KEEP = 2


@dataclass
class Site:
    """A host with programs, and the controller's copies of them."""

    host: Host
    folder: Path

    @property
    def generations(self) -> str:
        return f"{self.host.state}/generations"

    @property
    def store(self) -> str:
        return f"{self.host.state}/store/sha256"

    def program(self, text: str, path: str = "bin/prog") -> Artifact:
        content = f"#!/bin/sh\necho {text}\n".encode()
        file = self.folder / text
        file.write_bytes(content)
        local = LocalContent(path=file, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        return Artifact(path=self.host.path(path), content=local, store=self.store)

    def stored(self) -> set[str]:
        """What the programs in the store would say."""
        return {path.read_text().split()[-1] for path in Path(self.store).iterdir()}

    def says(self, path: str = "bin/prog") -> str:
        return subprocess.run([self.host.path(path)], capture_output=True, text=True, check=True).stdout.strip()

    def ledger(self) -> Ledger:
        file = f"{self.generations}/ledger"
        return read_ledger(self.host.remote.observe(Queries(reads=(file,))), self.generations)

    def numbers(self) -> list[int]:
        return [generation.number for generation in self.ledger().generations]

    def collect(self, remote: Any = None) -> Collected | None:
        where: dict[str, Any] = {"keep": KEEP, "folder": self.generations, "store": self.store}
        return collect_host(remote or self.host.remote, "collecting", **where)

    def run(self, number: int, *operations: Operation) -> Collected | None:
        """One whole run: something changes, then it collects."""
        owner: dict[str, Any] = {"owner": self.host.owner, "group": self.host.group}
        self.host.apply([Directory(path=self.host.path("bin"), **owner), *operations], f"run-{number}")
        return self.collect()


@pytest.fixture
def site(host: Host, tmp_path: Path) -> Site:
    return Site(host, tmp_path)


@pytest.fixture
def every_site(every_host: Host, tmp_path: Path) -> Site:
    return Site(every_host, tmp_path)


def snapshot(host: Host) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(host.place.rglob("*")):
        if path != host.state and host.state not in path.parents:
            info = path.lstat()
            what = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path)] = (info.st_mode, info.st_uid, what)
    return found


def test_programs_stay_as_long_as_it_is_possible_to_go_back_to_them(every_site: Site) -> None:
    site, host = every_site, every_site.host
    owner: dict[str, Any] = {"owner": host.owner, "group": host.group}
    host.apply([Directory(path=host.path("bin"), **owner), File(path=host.path("bin/prog"), content=b"mine", **owner)])
    host.remote.run(("rm", "-rf", "--", str(host.state)))
    origin = snapshot(host)
    went = [site.run(number, site.program(f"v{number}")) for number in range(1, 7)]
    # v1 to v3 were put in their places by runs that are folded; going back twice needs v5 and v4
    assert [told and (told.generations, told.programs, told.size) for told in went] == [
        None, None, (1, 0, 0), (1, 1, 18), (1, 1, 18), (1, 1, 18),
    ]  # fmt: skip
    assert site.numbers() == [0, 5, 6]
    assert site.stored() == {"v4", "v5", "v6"}
    assert site.says() == "v6"
    for version in ("v5", "v4"):
        host.apply(rollback(site.ledger()), "back")
        assert site.says() == version
    assert rollback(site.ledger()) == []
    host.apply(reset(site.ledger()), "reset")
    assert snapshot(host) == origin


def test_what_waits_to_be_linked_stays(site: Site) -> None:
    """`apply --tags prepare` stores the next version days before it is linked."""
    for number in (1, 2):
        site.run(number, site.program(f"v{number}"))
    assert site.run(3, site.program("next").stored) is not None
    assert "next" in site.stored()
    for number in (4, 5):
        site.run(number, site.program(f"v{number}"))
    assert "next" not in site.stored(), "nobody came for it in as many runs as are kept"


def test_nothing_is_done_where_there_is_no_more_than_is_kept(site: Site) -> None:
    for number in (1, 2):
        assert site.run(number, site.program(f"v{number}")) is None
    before = sorted(str(path) for path in site.host.state.rglob("*"))
    assert site.collect() is None
    assert sorted(str(path) for path in site.host.state.rglob("*")) == before


def test_a_host_that_keeps_nothing(site: Site) -> None:
    """After a reset: collecting must not make the folder anew."""
    assert site.collect() is None
    assert not site.host.state.exists()


def test_a_program_that_a_rollback_left_behind_goes(site: Site) -> None:
    for number in (1, 2, 3):
        site.run(number, site.program(f"v{number}"))
    site.host.apply(rollback(site.ledger()), "back")
    assert site.stored() == {"v1", "v2", "v3"}
    site.run(4, site.program("v4"))
    told = site.run(5, site.program("v5"))
    assert told is not None
    assert "v3" not in site.stored()
    assert site.says() == "v5"


def test_programs_in_a_folder_that_was_removed_with_all_in_it(site: Site) -> None:
    """Their links are inside of a kept copy: no line of the ledger names them."""
    site.run(1, site.program("kept"))
    host = site.host
    host.apply([Absent(path=host.path("bin"), recursive=True)], "run-2")
    host.apply([File(path=host.path("x"), content=b"1", owner=host.owner, group=host.group)], "run-3")
    told = site.collect()
    assert told is not None
    assert (told.generations, told.programs) == (1, 0)
    host.apply(rollback(site.ledger()), "back-1")
    host.apply(rollback(site.ledger()), "back-2")
    assert site.says() == "kept"


def test_a_program_that_runs_stays(site: Site) -> None:
    """A shim goes on for as long as its containers do, whatever its link leads to by now."""
    sleep = Path(shutil.which("sleep") or "/bin/sleep").read_bytes()
    (site.folder / "sleep").write_bytes(sleep)
    local = LocalContent(path=site.folder / "sleep", sha256=hashlib.sha256(sleep).hexdigest(), size=len(sleep))
    site.run(1, Artifact(path=site.host.path("bin/prog"), content=local, store=site.store))
    with subprocess.Popen([site.host.path("bin/prog"), "60"]) as running:
        try:
            for number in range(2, 6):
                site.run(number, site.program(f"v{number}"))
            assert Path(site.store, local.sha256).exists()
        finally:
            running.kill()
    site.run(6, site.program("v6"))
    assert not Path(site.store, local.sha256).exists()


def test_what_is_not_ours_in_the_store_stays(site: Site) -> None:
    site.run(1, site.program("linked"), site.program("other", "bin/other"))
    linked = Path(site.host.path("bin/prog")).resolve()
    (site.host.place / "elsewhere").hardlink_to(linked)
    (Path(site.store) / "README").write_text("by hand")
    (Path(site.store) / "0123").mkdir()
    for number in range(2, 6):
        site.run(number, site.program(f"v{number}"))
    assert {"README", "0123", linked.name} <= {path.name for path in Path(site.store).iterdir()}
    assert site.says("bin/other") == "other"


def test_another_link_of_ours_to_the_same_program(site: Site) -> None:
    site.run(1, site.program("same"), site.program("same", "bin/alias"))
    for number in range(2, 6):
        site.run(number, site.program(f"v{number}"))
    assert site.says("bin/alias") == "same"
    site.run(6, Symlink(path=site.host.path("bin/alias"), target="prog"))
    for number in (7, 8):
        site.run(number, site.program(f"v{number}"))
    assert "same" not in site.stored()


class Hasty:
    """A Remote on which somebody does something just before it acts."""

    def __init__(self, site: Site, meanwhile: Callable[[], None]) -> None:
        self.host = "here"
        self._remote = site.host.remote
        self._meanwhile = meanwhile

    def observe(self, queries: Queries) -> Observation:
        return self._remote.observe(queries)

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        self._meanwhile()
        return self._remote.act(changes, seen, run_id=run_id)


def test_nothing_goes_where_something_changed_meanwhile(site: Site) -> None:
    for number in (1, 2):
        site.run(number, site.program(f"v{number}"))
    host = site.host
    host.apply([site.program("v3")], "run-3")
    link = Path(host.path("bin/prog"))
    target = link.readlink()
    first = site.program("v1")

    def relink() -> None:
        link.unlink()
        link.symlink_to(first.stored.path)

    def another_run() -> None:
        host.apply([File(path=host.path("x"), content=b"", owner=host.owner, group=host.group)], "another")

    with pytest.raises(ChangedUnderneath):
        site.collect(Hasty(site, relink))
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(ChangedUnderneath, match="ledger"):
        site.collect(Hasty(site, another_run))
    assert site.numbers() == [1, 2, 3, 4]
    assert site.stored() == {"v1", "v2", "v3"}


def test_nothing_goes_where_kept_links_cannot_be_listed(place: Path, tmp_path: Path) -> None:
    site = Site(make(SHELLS[0], USERS[-1], place), tmp_path)
    if site.host.owner == "root":
        pytest.skip("root can read everything")
    for number in (1, 2):
        site.run(number, site.program(f"v{number}"))
    site.host.apply([site.program("v3")], "run-3")
    closed = f"{site.generations}/closed"
    site.host.remote.run(("mkdir", "-m", "0", closed))
    with pytest.raises(OperationFailed, match=r"programs that nothing names: .*cannot open directory"):
        site.collect()
    assert site.stored() == {"v1", "v2", "v3"}
    site.host.remote.run(("rmdir", closed))
