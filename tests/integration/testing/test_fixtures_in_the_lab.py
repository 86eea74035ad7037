"""The fixtures of kubeforge.testing as somebody's project uses them: a folder of its own, pytest, a lab."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains

ROOT = Path(__file__).parents[3]
BOOK = """
- play: Greet
  hosts: kube_node
  tasks:
    - file.present: {path: /etc/motd, content: "hello from {{ inventory_hostname }}\\n"}
"""
TESTS = """
from pathlib import Path

SITE = Path(__file__).parent / "site.yml"

def test_hosts(kubeforge_lab, kubeforge_hosts):
    assert list(kubeforge_hosts) == [host.name for host in kubeforge_lab.hosts]
    assert kubeforge_hosts["w1"].service("ssh").is_running
    assert [host.check_output("hostname") for host in kubeforge_hosts.matching("kube_node")] == ["w1"]

def test_apply_and_again(kubeforge_apply, kubeforge_hosts):
    first = kubeforge_apply(SITE)
    assert any("/etc/motd" in change for change in first.changes), first
    assert kubeforge_hosts["w1"].file("/etc/motd").content_string == "hello from w1\\n"
    assert kubeforge_apply(SITE).changes == []
"""


def session(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "kubeforge.testing.plugin", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=400)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text(BOOK)
    (tmp_path / "test_site.py").write_text(textwrap.dedent(TESTS))
    return tmp_path


def test_a_lab_is_made_and_taken_down(project: Path, labs_folder: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nkubeforge_control_planes = 0\nkubeforge_workers = 1\n")
    done = session(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert not [name for name in remains() if name.startswith("pytest-")]


def test_a_lab_that_is_there_is_used_and_stays(project: Path, labs_folder: Path) -> None:
    with Lab.up("fixtures-it", control_planes=0, workers=1) as lab:
        done = session(project, "--kubeforge-lab", lab.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.is_up


def test_a_killed_sessions_lab_is_removed_by_the_next(project: Path, labs_folder: Path) -> None:
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    Lab.up(f"pytest-{ended}", control_planes=0, workers=1)
    (project / "pytest.ini").write_text("[pytest]\nkubeforge_control_planes = 0\n")
    done = session(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pytest-{ended}" not in remains()
