"""What of the fixtures works without a lab: the plugin's options, names of labs, answers of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from kubeforge.testing.lab import Applied, documents, lab_name, leftover

ROOT = Path(__file__).parents[3]
TEST = "def test_it(kubeforge_hosts):\n    assert kubeforge_hosts['w1'].check_output('hostname') == 'w1'\n"


def session(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a project's tests in a process of their own, in a folder with no labs."""
    (folder / "test_it.py").write_text(TEST)
    environment = {**os.environ, "KUBEFORGE_LABS": str(folder / "labs"), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "kubeforge.testing.plugin", "-p", "no:cacheprovider", *words]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_lab_that_is_not_there(tmp_path: Path) -> None:
    done = session(tmp_path, "--kubeforge-lab", "nosuch")
    assert "there is no lab 'nosuch'" in done.stdout
    assert "kubeforge lab up nosuch" in done.stdout
    assert "1 error" in done.stdout
    assert done.returncode == 1


def test_fixtures_are_listed_with_what_they_are(tmp_path: Path) -> None:
    done = session(tmp_path, "--fixtures")
    for name in ("kubeforge_lab", "kubeforge_hosts", "kubeforge_apply"):
        assert f"{name} [session scope]" in done.stdout


def test_plugin_is_light() -> None:
    code = "import sys, kubeforge.testing.plugin; print(sorted(m for m in sys.modules if m.startswith('kubeforge.')))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "kubeforge.lab" not in done.stdout
    assert "kubeforge.engine" not in done.stdout


def test_entry_point_names_the_plugin() -> None:
    import tomllib

    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    for name, value in points.items():
        assert name == value, "else `-p` with the module's name would make it a second plugin"
        assert EntryPoint(name, value, "pytest11").load().kubeforge_lab


def test_labs_of_ended_sessions() -> None:
    names = ["demo", lab_name(1), lab_name(2), "pytest-mine"]
    assert leftover(names, runs=lambda pid: pid == 1) == [lab_name(2)]
    assert leftover([lab_name(os.getpid())]) == []


@pytest.mark.parametrize(("text", "count"), [("", 0), ('{"a": 1}\n', 1), ('{"a": 1}\n{\n "b": 2}\n', 2)])
def test_documents(text: str, count: int) -> None:
    assert len(documents(text)) == count


def test_changes_are_told_by_host_and_title() -> None:
    done = {"done": [{"host": "w1", "title": "file /etc/motd", "verb": "create"}]}
    assert Applied(plan={}, result=json.loads(json.dumps(done))).changes == ["w1: file /etc/motd"]
    assert Applied(plan={}, result=None).changes == []
