"""One lab host that looks like a control plane: an admin.conf, and something that answers on the API's port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load
from kubeforge.lab.lab import Lab
from kubeforge.secret import Secret
from kubeforge.spec.paths import ADMIN_CONF
from kubeforge.transport.connect import connect
from kubeforge.transport.remote import ShellRemote

ADMIN = """
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {certificate-authority-data: Y2E=, server: 'https://10.0.0.1:6443'}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Y3J0, client-key-data: a2V5}}]
contexts: [{name: kubernetes-admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}]
current-context: kubernetes-admin@kubernetes
"""


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("cli-it", control_planes=1, workers=0) as made:
        yield made


@pytest.fixture
def plane(lab: Lab) -> Iterator[ShellRemote]:
    remote = ShellRemote(connect(load(lab.inventory).hosts["cp1"]))
    yield remote
    remote.close()


@pytest.fixture
def founded(plane: ShellRemote) -> ShellRemote:
    """With an admin.conf."""
    plane.run(["mkdir", "-p", "/etc/kubernetes"])
    plane.write(ADMIN_CONF, Secret(ADMIN))
    return plane
