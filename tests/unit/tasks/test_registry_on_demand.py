"""A run over any hosts imports nothing that is for clusters alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kubeforge import tasks

CODE = """
import sys
from kubeforge import tasks
registry = tasks.on_demand()
assert "file.present" in registry and registry["host.reboot"].name == "host.reboot"
for name in ("lightkube", "cryptography", "httpx2", "pydantic", "tenacity", "kubeforge.tasks.etcd"):
    assert name not in sys.modules, name
assert registry["etcd.member"].name == "etcd.member"
assert "kubeforge.tasks.etcd" in sys.modules
"""


def test_clusters_are_imported_when_they_are_asked_for() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_all_tasks_are_there() -> None:
    found = tasks.on_demand()
    assert dict(found) == dict(tasks.load())
    assert len(found) == len(list(found))
    with pytest.raises(KeyError):
        found["file.presen"]
