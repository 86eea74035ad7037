"""What a plan asks apt about upgrades, of a program that answers as it; the lists of the host stay as they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from kubeforge.operations import Command

# $LISTS: the folder that it was told to use; only lists that are fetched tell of what is new
APT_GET: Final = r"""#!/bin/sh
for word; do
  case $word in
    Dir::State::lists=*) lists=${word#*=} ;;
    update) echo "$lists" >>"$STATE/fetched"; [ -e "$STATE/answers" ] || exit 100; : >"$lists/new"; exit ;;
    upgrade) [ ! -e "$lists/new" ] || cat "$STATE/due"; exit ;;
  esac
done
exit 9
"""
DUE: Final = "Reading package lists...\nInst openssl [3.0.15-1] (3.0.17-1 Debian:12/stable [amd64])\nConf openssl\n"


@pytest.mark.parametrize(
    ("answers", "said", "due"),
    [(True, DUE, True), (True, "Reading package lists...\n", False), (False, DUE, True)],
    ids=["something new", "nothing new", "no answer, which the upgrade itself then tells"],
)
def test_sources_are_asked_by_lists_of_its_own(site: Any, tmp_path: Path, answers: bool, said: str, due: bool) -> None:
    program = tmp_path / "apt-get"
    program.write_text(APT_GET)
    program.chmod(0o755)
    (tmp_path / "due").write_text(said)
    if answers:
        (tmp_path / "answers").touch()
    (upgrade,) = site.ask("package.upgraded")
    assert isinstance(upgrade, Command)
    (test,) = upgrade.observe().tests
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STATE": str(tmp_path)}
    assert (subprocess.run(test, env=environment, check=False).returncode != 0) is due
    (lists,) = (tmp_path / "fetched").read_text().split()
    assert lists.startswith("/var/tmp/kubeforge-apt.")
    assert not Path(lists).parent.exists(), "nothing of it stays"


def test_an_apply_brings_the_hosts_lists_up_to_date_first(site: Any) -> None:
    (upgrade,) = site.ask("package.upgraded")
    first, second = upgrade.argv[2].split("; ")
    assert {"apt-get", "update"} <= {*first.split()}
    assert second.startswith("exec apt-get ")
    assert second.endswith(" upgrade")
