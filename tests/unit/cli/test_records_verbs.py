from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kubeforge.cli import root
from kubeforge.cli.session import inventory_of
from kubeforge.engine.journal import filed_by, filed_under
from kubeforge.errors import InputError
from tests.recorded_run import FIRST, SECOND, write_run


@pytest.fixture(autouse=True)
def two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "state" / "runs" / "demo")
    write_run(tmp_path / "state" / "runs" / "demo", SECOND, failed=False)


def forge(*words: str) -> Result:
    return CliRunner().invoke(root, [*words, "--cluster", "demo"])


def test_list_is_the_newest_first_and_cut() -> None:
    told = json.loads(forge("runs", "list", "-o", "json").output)
    assert [(run["run_id"], run["exit_code"], run["changed"]) for run in told] == [(SECOND, 0, 9), (FIRST, 13, 8)]
    assert len(json.loads(forge("runs", "list", "-n", "1", "-o", "json").output)) == 1
    assert forge("runs", "list").output.splitlines()[1].startswith(SECOND)


def test_show_is_about_the_last_run_unless_another_is_named() -> None:
    told = json.loads(forge("runs", "show", "-o", "json").output)
    assert (told["run_id"], len(told["changes"]), told["problems"]) == (SECOND, 9, [])
    assert "w2: wait: it does not serve" in forge("runs", "show", "last~1").output


def test_diff_compares_the_last_two() -> None:
    told = json.loads(forge("runs", "diff", "-o", "json").output)
    assert [(one["host"], one["title"]) for one in told["only_second"]] == [("w2", "wait")]
    assert (told["only_first"], told["both"]) == ([], 8)
    assert forge("runs", "diff", SECOND, FIRST).output.startswith(f"Only in {SECOND}: 1 change\n")


def test_report_writes_one_file(tmp_path: Path) -> None:
    assert forge("report").output == f"{SECOND}.html\n"
    assert (tmp_path / f"{SECOND}.html").read_text().startswith("<!doctype html>")
    assert forge("report", FIRST, "--to", "page.html").output == "page.html\n"
    assert "Failed: apply" in (tmp_path / "page.html").read_text()


def test_a_place_that_cannot_be_written_is_named() -> None:
    done = forge("report", "--to", "missing/page.html")
    assert done.exit_code == 1
    assert "missing/page.html" in done.output


HOSTS = "all: {hosts: {w1: {ansible_host: 192.0.2.1}}}\n"


@pytest.mark.parametrize(
    ("file", "given", "name"),
    [
        ("web/hosts.yml", "web", "web"),
        ("web/hosts.yml", "web/hosts.yml", "web"),
        ("web/inventory/hosts.yml", "web/inventory", "web"),
        ("shop.ini", "shop.ini", "shop"),
    ],
)
def test_an_inventory_without_a_cluster_has_runs_too(tmp_path: Path, file: str, given: str, name: str) -> None:
    """They are where a run over it files them."""
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(HOSTS if file.endswith(".yml") else "w1 ansible_host=192.0.2.1\n")
    inventory = inventory_of(Path(given), {})
    assert filed_under(inventory) == name
    write_run(tmp_path / "state" / "runs" / name)
    for words in (["runs", "list"], ["runs", "show"], ["runs", "diff", "last", "last"], ["report", "--to", "x.html"]):
        done = CliRunner().invoke(root, [*words, "-i", given])
        assert (done.exit_code, done.exception) == (0, None), words
    told = json.loads(CliRunner().invoke(root, ["runs", "list", "-o", "json", "-i", given]).output)
    assert [run["run_id"] for run in told] == [FIRST]


def test_with_a_cluster_its_name_counts_for_playbooks_of_ones_own_too(tmp_path: Path) -> None:
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "cluster.yml").write_text("name: demo\nkubernetes: of course\n")
    assert filed_under(inventory_of(folder, {})) == "demo"
    done = CliRunner().invoke(root, ["runs", "list", "-o", "json", "-i", str(folder)])
    assert [run["run_id"] for run in json.loads(done.output)] == [SECOND, FIRST]


@pytest.mark.parametrize("text", ["- a list\n", "name: 7\n", "name: [\n", "\xff"])
def test_a_cluster_file_that_names_none(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "cluster.yml").write_bytes(text.encode("latin-1"))
    assert filed_by(folder) == "somewhere"


def test_an_inventory_that_is_not_there() -> None:
    done = CliRunner().invoke(root, ["runs", "list", "-i", "nowhere"])
    assert isinstance(done.exception, InputError)
    assert "nowhere: there is no such inventory" in str(done.exception)
