"""The command line on this machine: what has nothing to do and what is refused is recorded, without a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = (sys.executable, "-c", "from kubeforge.cli import main; main()")
HOSTS = """
all:
  hosts:
    here: {ansible_connection: local}
    away: {ansible_host: 127.0.0.1, ansible_port: 9, ansible_timeout: 2}
"""
BOOK = """
- play: Look
  hosts: all
  tasks:
    - check.that: {that: ["{{ facts.cpus >= least | int }}"]}
"""


class Here:
    """This machine and a host that is away, in an inventory without a cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "web").mkdir()
        (folder / "web/hosts.yml").write_text(HOSTS)
        (folder / "site.yml").write_text(BOOK)

    def forge(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [*PROGRAM, *words, "-i", "web"]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=self.folder)

    def run(self, least: int, *words: str) -> int:
        return self.forge("playbook", "run", "site.yml", "--yes", "-e", f"least={least}", *words).returncode

    def runs(self) -> list[dict[str, Any]]:
        """Return the recorded runs, newest first."""
        done = self.forge("runs", "list", "-o", "json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    return Here(tmp_path)


def test_every_run_is_recorded(here: Here) -> None:
    codes = [here.run(1, "-l", "here"), here.run(100_000, "-l", "here"), here.run(1)]
    assert codes[0] == 0
    assert all(codes[1:])
    found = here.runs()
    assert sorted(run["exit_code"] for run in found) == sorted(codes)
    assert {run["cluster"] for run in found} == {"web"}
    last = here.forge("runs", "show")
    assert (last.returncode, "away: " in last.stdout) == (0, True), last.stdout
    assert here.forge("report", "--to", "page.html").returncode == 0
    assert "Nothing done: site" in (here.folder / "page.html").read_text()


def test_a_check_and_a_retry(here: Here) -> None:
    here.run(1, "--check")
    assert here.runs() == []
    here.run(1)
    shown = here.forge("playbook", "run", "site.yml", "--check", "-e", "least=1", "--retry-failed", "-o", "json")
    assert json.loads(shown.stdout)["hosts"] == ["away"]
