"""The rules of CONTRIBUTING that a program can check: sizes, names, public surfaces, no registry named."""

from __future__ import annotations

import ast
import importlib
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "kubeforge").rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, f"{path.name} does more than one thing"
    long = [
        f"{node.name} (line {node.lineno})"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, f"too long to read at once: {long}"


def test_names_say_what_is_inside() -> None:
    assert not [path for path in MODULES if path.stem in VAGUE_NAMES]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_all_is_true(path: Path) -> None:
    """Every name in `__all__` exists; the list has no doubles."""
    module = importlib.import_module(module_name(path))
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert not [name for name in names if not hasattr(module, name)]


def test_no_registry_is_named() -> None:
    """Which registry a package comes from is the machine's business, not the project's."""
    words = ["pypi" + ".org", "pythonhosted" + ".org", "proxy.golang" + ".org", "deb.debian" + ".org"]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes()
            assert not [word for word in words if word.encode() in text], name
