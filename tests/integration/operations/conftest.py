"""One lab host with a real systemd, entered as root and as a user with sudo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load
from kubeforge.lab.lab import Lab
from kubeforge.transport.connect import connect
from kubeforge.transport.remote import ShellRemote


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("ops-it", control_planes=1, workers=0) as made:
        yield made


@pytest.fixture
def enter(lab: Lab) -> Iterator[Callable[[str], ShellRemote]]:
    """Return `enter(user)`: a connection to the host, as root or by sudo."""
    opened: list[ShellRemote] = []

    def open_as(user: str) -> ShellRemote:
        variables = {"ansible_user": user, "ansible_become": user != "root"}
        host = load(lab.inventory, extra_vars=variables).hosts["cp1"]
        opened.append(ShellRemote(connect(host)))
        return opened[-1]

    yield open_as
    for remote in opened:
        remote.close()
