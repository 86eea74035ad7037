"""A play of one's own playbook that is for nobody is an error with its place, before any host is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.entering import refuse_nobody
from kubeforge.engine.events import Warned
from kubeforge.engine.playbook_loader import load
from kubeforge.engine.roster import roster
from kubeforge.errors import InputError
from kubeforge.inventory.model import Inventory
from kubeforge.resources import playbook as shipped

BOOK = """
- play: Nobody
  hosts: web
  become: false
  tasks: [files.write]

- play: None in both
  tags: [both]
  tasks: [files.write]
  hosts:
    - db
    - "&eu"

- {play: Mistyped, hosts: wbe, tasks: [files.write]}
- {play: Somebody, hosts: db, tasks: [files.write]}
"""


def grouped(world: Any, **groups: tuple[str, ...]) -> Inventory:
    """Put the world's hosts into groups."""
    known: Mapping[str, tuple[str, ...]] = world.inventory.groups
    made: Inventory = replace(world.inventory, groups={**known, **groups})
    world.inventory = made
    return made


def problems(world: Any, text: str = BOOK, **more: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        world.session(text, **more)
    assert all(not host.calls for host in world.hosts.values())
    return [str(problem) for problem in caught.value.problems]


def test_all_that_are_for_nobody_at_once(world: Any) -> None:
    grouped(world, web=(), db=("w1",), eu=("w2",))
    assert problems(world) == [
        "playbook.yml:3: hosts: no host is left in 'web' (web means 0)",
        "playbook.yml:10: hosts: no host is left in 'db,&eu' (db means 1, &eu means 1)",
        "playbook.yml:14: hosts: no group and no host is called 'wbe'; did you mean web?",
    ]


def test_with_somebody_who_becomes_another_it_is_the_same(world: Any) -> None:
    grouped(world, web=(), db=("w1",), eu=("w2",))
    assert problems(world, BOOK.replace("become: false", "become: true")) == problems(world)


def test_a_role_without_hosts_is_nobody(world: Any) -> None:
    """kubeforge's own playbooks may name it; one's own names it where there are such hosts: `cluster`, `etcd`."""
    (problem,) = problems(world, "- {play: A, hosts: kube_load_balancer, tasks: [files.write]}")
    assert "no group and no host is called 'kube_load_balancer'" in problem
    with world.session("- {play: A, hosts: 'cluster:&etcd', tasks: [files.write]}") as session:
        assert session.who.hosts == (("cp1",),)


def test_a_limit_leaves_plays_without_hosts_and_says_nothing(world: Any) -> None:
    grouped(world, web=("w1",), db=("w2",))
    text = "- {play: A, hosts: web, tasks: [files.write]}\n- {play: B, hosts: db, tasks: [files.write]}"
    with world.session(text, limit="db") as session:
        assert session.who.hosts == ((), ("w2",))
        assert session.plan().hosts == ("w2",)
    with world.session(text, within=["w1"]) as session:  # --retry-failed, --resume
        assert session.who.hosts == (("w1",), ())


def test_a_limit_is_no_excuse(world: Any) -> None:
    grouped(world, web=(), db=("w1",), eu=("w2",))
    assert len(problems(world, limit="db")) == 3


def test_what_tags_leave_out_is_not_judged(world: Any) -> None:
    grouped(world, web=(), db=("w1",), eu=("w2",))
    become = BOOK.replace("become: false", "become: true")
    assert len(problems(world, become, tags=["both"])) == 1


@pytest.mark.parametrize("pattern", ["os_Plan9", "web:&os_Plan9", "web:&os_Debian"])
def test_a_group_that_facts_make_may_be_nobody_and_a_warning_tells(world: Any, pattern: str) -> None:
    grouped(world, web=("w1",), os_Debian=("w2",))
    world.inventory = replace(world.inventory, of_facts=("os_*",))
    text = f"- {{play: A, hosts: '{pattern}', tasks: [files.write]}}\n- {{play: B, hosts: web, tasks: [files.write]}}"
    with world.session(text, limit="w1") as session:
        session.plan()
    (warned,) = world.of(Warned)
    assert warned.message.startswith("A: no host is")


def test_before_facts_come_only_what_they_cannot_change_is_judged(world: Any) -> None:
    inventory = grouped(world, web=(), db=("w1",))
    inventory = replace(inventory, of_facts=("os_*",), wants_facts=("w1", "w2"))
    text = "\n".join(
        f"- {{play: {name}, hosts: '{pattern}', tasks: [{{files.write: {{}}, delegate_to: localhost}}]}}"
        for name, pattern in {"A": "web", "B": "os_Debian", "C": "~os_.*:&db", "D": "db:!w*", "E": "bd"}.items()
    )
    with pytest.raises(InputError) as caught:
        refuse_nobody(inventory, world.book(text), limit="os_Debian")
    assert [problem.line for problem in caught.value.problems] == [1, 5]


def test_which_playbooks_are_kubeforges_own(world: Any, tmp_path: Path) -> None:
    from kubeforge import tasks

    assert load(shipped("apply"), tasks.load()).shipped
    assert not load(shipped("apply").parent / "examples/web.yml", tasks.load()).shipped
    mine = tmp_path / "apply.yml"
    mine.write_text("- {play: A, hosts: web, tasks: [files.write]}")
    book = load(mine, world.tasks)
    with pytest.raises(InputError, match="'web'"):
        roster(book, grouped(world, web=()))
