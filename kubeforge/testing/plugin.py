"""The pytest plugin: a lab and its hosts as fixtures. Nothing is imported before a fixture is asked for.

pytest finds it by its entry point wherever kubeforge is installed; without the fixtures it does nothing.
"""

# ruff: noqa: PLC0415 - every session of pytest loads this module, most need no lab
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kubeforge.lab.lab import Lab
    from kubeforge.testing.lab import Applied, LabHosts

__all__ = ["kubeforge_apply", "kubeforge_hosts", "kubeforge_lab", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of labs."""
    group = parser.getgroup("kubeforge")
    group.addoption(
        "--kubeforge-lab", metavar="NAME", help="Test on this lab, which is up and stays; default: one is made."
    )
    parser.addini("kubeforge_control_planes", "How many hosts in kube_control_plane a lab for tests has.", default="1")
    parser.addini("kubeforge_workers", "How many hosts in kube_node a lab for tests has.", default="1")


@pytest.fixture(scope="session")
def kubeforge_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab for all tests of the session: hosts with systemd and sshd, made for it and taken down after it.

    With `--kubeforge-lab NAME` it is that one, and it stays. What a killed session left is removed first.

    Raises:
        LabError: labs cannot run here (they need root), or there is no lab of that name.
    """
    from kubeforge.lab.lab import Lab
    from kubeforge.lab.removal import remains, remove
    from kubeforge.testing.lab import lab_name, leftover

    given: str | None = request.config.getoption("--kubeforge-lab")
    if given:
        yield Lab.find(given)
        return
    for old in leftover(remains()):
        remove(old)
    control_planes, workers = (
        int(request.config.getini(f"kubeforge_{role}")) for role in ("control_planes", "workers")
    )
    with Lab.up(lab_name(os.getpid()), control_planes=control_planes, workers=workers) as lab:
        yield lab


@pytest.fixture(scope="session")
def kubeforge_hosts(kubeforge_lab: Lab) -> LabHosts:
    """The lab's hosts by name, as testinfra hosts; `.matching("kube_node")` gives those of a pattern."""
    from kubeforge.testing.lab import LabHosts

    return LabHosts(kubeforge_lab)


@pytest.fixture(scope="session")
def kubeforge_apply(kubeforge_lab: Lab) -> Callable[..., Applied]:
    """Return `apply(playbook, *words)`, which runs a playbook on the lab and fails the test where the run fails."""
    from kubeforge.testing.lab import apply

    return partial(apply, kubeforge_lab)
