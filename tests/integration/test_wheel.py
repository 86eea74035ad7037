"""The wheel works outside of the checkout: in an environment of its own, playbooks and templates are found."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOK = """
from pathlib import Path
import kubeforge
from kubeforge import resources, tasks
from kubeforge.engine.playbook_loader import load

home = Path(kubeforge.__file__).parent
assert resources.templates() == home / "_shipped" / "templates", resources.templates()
sources = sorted((home / "artifacts" / "components").glob("kubernetes-*/main.go"))
assert len(sources) > 1, sources
assert not [path for path in sources if path.is_symlink() or b"package main" not in path.read_bytes()]
books = sorted(resources.playbooks().glob("*.yml"))
assert books and all(load(book, tasks.load()).plays for book in books)
print(home)
"""


def run(*argv: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the wheel; its dependencies are those of the environment the tests run in."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).parent / "uv"
    how = ("--wheel", "--offline", "--no-build-isolation", "--python", sys.executable)
    run(uv, "build", *how, "--out-dir", folder, ROOT, cwd=folder)
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder)
    # a plain path: the .pth files in there, that of the editable checkout above all, are not read
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=folder).strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def test_resources_are_in_the_wheel(installed: Path) -> None:
    home = run(installed / "venv" / "bin" / "python", "-c", LOOK, cwd=installed).strip()
    assert Path(home).is_relative_to(installed)


def test_command_is_installed(installed: Path) -> None:
    command = installed / "venv" / "bin" / "kubeforge"
    assert run(command, "version", cwd=installed).startswith("kubeforge ")
    said = run(command, "validate", "-i", ROOT / "inventory" / "ha", cwd=installed)
    assert "valid; cluster ha" in said
