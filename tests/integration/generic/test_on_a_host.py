"""Generic tasks on a real host, as root and by sudo: check tells what apply does, a second run changes nothing."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kubeforge import tasks
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.run import Session
from kubeforge.lab.lab import Lab
from tests.e2e.faults.conftest import Forge
from tests.e2e.repository import supply
from tests.integration.generic.cases import CASES, EVERY_RUN, QUIET
from tests.integration.generic.conftest import Enter, Site
from tests.integration.generic.sources import signed_source

pytestmark = pytest.mark.lab

HOSTS: Final = {"root": "cp1", "ops": "w1"}
"""A host of its own for root, and for a user with sudo."""


@pytest.fixture(scope="module")
def lab(labs_folder: Path) -> Iterator[Lab]:
    with Lab.up("generic-users", control_planes=1, workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def folder(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the playbooks take from this machine; the hosts are offered packages."""
    made = tmp_path_factory.mktemp("site")
    (made / "files" / "tree").mkdir(parents=True)
    (made / "files" / "tree" / "x").write_text("x\n")
    with tarfile.open(made / "files" / "it.tar", "w") as tar:
        tar.add(made / "files" / "tree", "tree")
    (made / "templates").mkdir()
    (made / "templates" / "it.j2").write_text("{{ inventory_hostname }} {{ facts.os_id }}\n")
    signed_source(made / "files", tmp_path_factory.mktemp("signed"))
    forge = Forge(lab, lab.inventory, made / "state")
    supply(forge, "all", list(HOSTS.values()), tmp_path_factory.mktemp("apt"), "cron", "git", "ufw")
    return made


def check_apply_check(site: Site, name: str, calls: str) -> None:
    first = site.plan(calls)
    assert site.plan(calls).without_diffs().steps == first.without_diffs().steps, "check changed something"
    assert bool(first.steps) is (name not in QUIET), "something to do, or nothing"
    done = {done.title for done in site.apply(calls).done}
    planned = {change.title for step in first.steps for change in step.changes}
    waited = {title for title in planned if title.startswith("wait for ")}  # a wait changes nothing
    assert done == planned - waited, "apply did what check told, no more and no less"
    left = {change.title for step in site.plan(calls).steps for change in step.changes}
    assert left == (planned if name in EVERY_RUN else set()), "a second run changes nothing"


@pytest.mark.parametrize("user", HOSTS)
def test_check_apply_check(enter: Enter, folder: Path, user: str) -> None:
    """All cases one after the other, on a host that nobody has worked on before."""
    site = enter(user, HOSTS[user], folder)
    wrong = []
    for name, calls in CASES.items():
        try:
            check_apply_check(site, name, calls)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert site.plan("- host.reboot: {}").steps == (), "nothing on such a host asks for one"


UNIT: Final = "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n"
HANDLED: Final = f"""
- play: It
  hosts: cp1
  tasks:
    - systemd.unit: {{name: kfit2, content: "{UNIT}"}}
    - file.present: {{path: /etc/kfit2.conf, content: "{{{{ content }}}}"}}
      notify: again
  handlers:
    - name: again
      service.restart: {{name: kfit2}}
"""


def test_a_handler_restarts_when_it_is_notified(enter: Enter) -> None:
    registry = tasks.load()
    inventory = enter("root").session("- debug.facts").inventory
    book = parse(HANDLED, registry)
    for content, expected in (("1", True), ("1", False), ("2", True)):
        variables = {"content": content}
        with Session(
            inventory=inventory, playbook=book, registry=registry, variables=variables, exclusive=False, record=False
        ) as session:
            result = session.apply(session.plan())
        assert result.failures == ()
        assert ("restart kfit2.service" in {done.title for done in result.done}) is expected
