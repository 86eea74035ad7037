"""One lab host that looks like a control plane: an admin.conf, and something that answers on the API's port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load
from kubeforge.lab.lab import Lab
from kubeforge.transport.connect import connect
from kubeforge.transport.remote import ShellRemote


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("cli-it", control_planes=1, workers=0) as made:
        yield made


@pytest.fixture
def plane(lab: Lab) -> Iterator[ShellRemote]:
    remote = ShellRemote(connect(load(lab.inventory).hosts["cp1"]))
    yield remote
    remote.close()
