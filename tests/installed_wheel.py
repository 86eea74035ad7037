"""Builds the wheel and installs it into an environment of its own, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*argv: str | Path, cwd: Path) -> str:
    """Run a command without Python's own variables; return what it prints. A failure fails the test."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_wheel(folder: Path) -> Path:
    """Return the folder with `python` and `kubeforge`; dependencies are those of the environment the tests run in."""
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
    return python.parent
