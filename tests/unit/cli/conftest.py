from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crash logs of these tests lie in a folder of their own."""
    monkeypatch.setenv("KUBEFORGE_CACHE", str(tmp_path / "cache"))
