"""Playbooks of generic tasks: on this machine in a folder of their own, and on a lab host as root and by sudo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from kubeforge import tasks
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.result import RunResult
from kubeforge.engine.run import Session
from kubeforge.inventory.loader import load
from kubeforge.lab.lab import Lab
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.remote import ShellRemote


@pytest.fixture
def here(tmp_path: Path) -> ShellRemote:
    """This machine, with kubeforge's own folder in a temporary one."""
    if os.geteuid() != 0:
        pytest.skip("owners are set by root only")
    return ShellRemote(LocalTransport(), state=str(tmp_path / "kubeforge"))


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("generic-it", control_planes=1, workers=0) as made:
        yield made


@dataclass(frozen=True)
class Site:
    """A lab host, entered as somebody; playbooks lie in `folder`."""

    lab: Lab
    folder: Path
    user: str = "root"
    host: str = "cp1"

    def session(self, calls: str) -> Session:
        variables = {"ansible_user": self.user, "ansible_become": self.user != "root"}
        registry = tasks.load()
        rows = "".join(f"    {row}\n" for row in calls.strip().splitlines())
        text = f"- play: It\n  hosts: {self.host}\n  tasks:\n{rows}"
        book = parse(text, registry, file=str(self.folder / "site.yml"))
        inventory = load(self.lab.inventory, extra_vars=variables)
        return Session(inventory=inventory, playbook=book, registry=registry, exclusive=False, record=False)

    def plan(self, calls: str) -> Plan:
        with self.session(calls) as session:
            plan = session.plan(diff=True)
        assert plan.failures == ()
        return plan

    def apply(self, calls: str) -> RunResult:
        with self.session(calls) as session:
            plan = session.plan()
            result = session.apply(plan)
        assert result.failures == ()
        return result


class Enter(Protocol):
    """Enters a host as somebody."""

    def __call__(self, user: str, host: str = "cp1", folder: Path | None = None) -> Site:
        """Return the host, entered as root or as a user with sudo; playbooks lie in `folder`, else in the test's."""


@pytest.fixture
def enter(lab: Lab, tmp_path: Path) -> Enter:
    def entered(user: str, host: str = "cp1", folder: Path | None = None) -> Site:
        return Site(lab, folder or tmp_path, user, host)

    return entered
