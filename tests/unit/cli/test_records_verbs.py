from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kubeforge.cli import root
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
