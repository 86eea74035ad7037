"""The CI files that users copy: their schema (check-jsonschema ships GitHub's and GitLab's), and what they run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.cli import VERBS
from kubeforge.lab.layout import LabPaths

ROOT = Path(__file__).parents[3]
FILES = {
    "github.yml": ("vendor.github-workflows", ()),
    "gitlab.yml": ("vendor.gitlab-ci", ("--data-transform", "gitlab-ci")),
}
GITLAB_WORDS = {"stages", "variables", "default"}
KEYS_OF_A_STEP = {"name", "uses", "with", "run", "if"}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docs/ci" / name).read_text())
    return found


def scripts(name: str) -> list[str]:
    """Return every shell line of a CI file."""
    data = read(name)
    if name == "github.yml":
        return [step["run"] for job in data["jobs"].values() for step in job["steps"] if "run" in step]
    jobs = [job for key, job in data.items() if key not in GITLAB_WORDS]
    return [*data["default"]["before_script"], *(line for job in jobs for line in job["script"])]


@pytest.mark.parametrize("name", FILES)
def test_schema(name: str) -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no check-jsonschema: make setup")
    schema, more = FILES[name]
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, str(ROOT / "docs/ci" / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_githubs_jobs() -> None:
    data = read("github.yml")
    assert True in data, "`on` is a truth value to YAML 1.1, and the key that GitHub wants"  # type: ignore[comparison-overlap]
    assert data["jobs"]["molecule"]["needs"] == "check"
    for job in data["jobs"].values():
        assert job["timeout-minutes"] <= 45
        for step in job["steps"]:
            assert set(step) <= KEYS_OF_A_STEP
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v0"))


def test_gitlabs_jobs() -> None:
    data = read("gitlab.yml")
    jobs = {key: job for key, job in data.items() if key not in GITLAB_WORDS}
    assert [job["stage"] for job in jobs.values()] == data["stages"]
    assert all(job["script"] and job["timeout"] for job in jobs.values())


@pytest.mark.parametrize("name", FILES)
def test_what_they_run_is_there(name: str) -> None:
    lines = scripts(name)
    verbs = re.findall(r"kubeforge ([a-z]+) [a-z]", "\n".join(lines))
    assert verbs
    assert set(verbs) <= set(VERBS)
    assert any("molecule test" in line for line in lines)
    assert any("pytest tests" in line for line in lines)


@pytest.mark.parametrize("name", FILES)
def test_extras_are_there(name: str) -> None:
    data = read(name)
    wanted = (data.get("env") or data["variables"])["KUBEFORGE"]
    extras = wanted[wanted.index("[") + 1 : -1].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) <= set(known)


@pytest.mark.parametrize("name", FILES)
def test_consoles_are_where_they_say(name: str) -> None:
    console = LabPaths(folder=Path("/var/lib/kubeforge/labs/*")).host("*").console
    assert str(console) in (ROOT / "docs/ci" / name).read_text()
