"""Labs of the tests live in a folder of their own, away from the user's, and nothing of them may stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.lab.removal import remains, remove


@pytest.fixture(scope="session")
def labs_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where labs are made; all that is left there at the end is ended."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    folder = tmp_path_factory.mktemp("labs").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEFORGE_LABS", str(folder))
        yield folder
        for name in remains():
            remove(name)
