"""Inventories made for a test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory

Load = Callable[..., Inventory]


@pytest.fixture
def inventory(tmp_path: Path) -> Load:
    """Write files beside `hosts.yml` and load the folder."""

    def write(text: str, files: Mapping[str, str] | None = None, **settings: Any) -> Inventory:
        for name, content in {"hosts.yml": text, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content))
        return load(tmp_path, **settings)

    return write


def problems(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    """Return what is wrong, as `line: field: message`."""
    return [f"{problem.line}: {problem.field}: {problem.message}" for problem in error.value.problems]
