"""A lab of its own for the engine: one control plane, two workers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.lab.lab import Lab


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("engine", control_planes=1, workers=2) as made:
        yield made


@pytest.fixture
def inventory(lab: Lab) -> Inventory:
    return load(lab.inventory)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs' records of a test."""
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kfit_program", Path(__file__).with_name("program.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
