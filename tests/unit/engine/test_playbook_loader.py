"""Playbooks: what they may say, and every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.model import Context, Task
from kubeforge.engine.playbook import Pool, Portion, TaskCall
from kubeforge.engine.playbook_loader import load, parse
from kubeforge.errors import InputError


def prepare(context: Context) -> Any:
    return ()


def join(context: Context, token: str, *, retries: int = 3) -> Any: ...


def anything(context: Context, **arguments: Any) -> Any: ...


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(name="os.prepare", function=prepare),
        Task(name="kubelet.join", function=join),
        Task(name="generic.any", function=anything),
    )
}


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, TASKS, file="site.yml")
    return [str(problem) for problem in caught.value.problems]


def test_everything_a_play_may_say() -> None:
    book = parse(
        """
- play: Prepare
  hosts: [all, "!w1"]
  tasks: [os.prepare]
- play: Join
  hosts: kube_node
  serial: [1, 30%]
  by_group: true
  order: reverse_inventory
  run_once: true
  tags: [join, late]
  max_failures: 10%
  ignore_unreachable: true
  facts: false
  vars: {token: abc}
  tasks:
    - kubelet.join: {token: "{{ token }}", retries: 5}
    - os.prepare:
    - generic.any: {a: [1, {b: c}]}
""",
        TASKS,
        file="dir/site.yml",
    )
    first, second = book.plays
    assert book.name == "site"
    assert (first.hosts, first.serial, first.max_failures, first.facts) == ("all,!w1", (), Portion(0), True)
    assert second.serial == (Portion(1), Portion(30, percent=True))
    assert second.max_failures == Portion(10, percent=True)
    assert (second.by_group, second.order) == (True, "reverse_inventory")
    assert (first.by_group, first.order) == (False, "inventory")
    assert (first.ignore_unreachable, second.ignore_unreachable) == (False, True)
    assert (second.run_once, second.facts, second.tags) == (True, False, frozenset({"join", "late"}))
    assert second.tasks == (
        TaskCall(name="kubelet.join", arguments={"token": "{{ token }}", "retries": 5}, line=17),
        TaskCall(name="os.prepare", line=18),
        TaskCall(name="generic.any", arguments={"a": [1, {"b": "c"}]}, line=19),
    )


def test_all_problems_at_once_with_lines() -> None:
    found = problems("""
- play: One
  hots: all
  tasks: [os.prepar, kubelet.join]
  serial: many
- play: One
  hosts: all
  run_once: perhaps
  tasks:
    - kubelet.join: {token: x, retrys: 2}
    - {a: 1, b: 2}
  max_failures: 150%
  hosts: w1
""")
    assert found == [
        "site.yml:2: hosts: is missing",
        "site.yml:3: hots: is no key of a play (did you mean hosts?)",
        "site.yml:4: tasks: there is no task os.prepar (did you mean os.prepare?)",
        "site.yml:4: kubelet.join: needs the argument token",
        "site.yml:5: serial: a number of hosts (at least 1) or a percentage (30%) is expected here",
        "site.yml:6: play: a play with this name is already on line 2",
        "site.yml:8: run_once: a yes or no is expected here, not 'perhaps'",
        "site.yml:10: kubelet.join: takes no argument retrys (did you mean retries?)",
        "site.yml:11: tasks: a task is `name` or `name: {arguments}`, one per item of the list",
        "site.yml:12: max_failures: a number of hosts (at least 0) or a percentage (30%) is expected here",
        "site.yml:13: hosts: is said twice",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a playbook is a list of plays"),
        ("plays: []", "a playbook is a list of plays"),
        ("- [1, 2]", "a mapping is expected here"),
        ("- play: [", "a value is missing here"),
        ("- play: x\n  hosts: all\n  tasks: os.prepare", "a list of tasks is expected here"),
        ("- play: ''\n  hosts: all\n  tasks: [os.prepare]", "a text is expected here"),
        ("- play: x\n  hosts: all\n  tasks: [os.prepare]\n  vars: 3", "a mapping is expected here, not 3"),
        ("- play: x\n  hosts: all\n  serial: 0\n  tasks: [os.prepare]", "at least 1"),
        ("- play: x\n  hosts: all\n  vars: &a {b: [*a]}\n  tasks: [os.prepare]", "an alias (`*name`) inside of what"),
        ("- play: x\n  hosts: !!python/object:os.system {}\n  tasks: [os.prepare]", "a text is expected"),
        ("\x00", "a character that YAML forbids"),
        ("- play: x\n  hosts: all\n  tasks: [os.prepare]\n  vars: {day: 2026-02-30}", "day is out of range for month"),
        ("- play: x\n  hosts: all\n  tasks: [os.prepare]\n  vars: {a: !!int b}", "put what is text between quotes"),
        ("- play: x\n  hosts: all\n  tasks: [os.prepare]\n  vars: {a: !vault b}", "belongs into group_vars/"),
    ],
)
def test_wrong_shapes_are_told_not_raised(text: str, told: str) -> None:
    found = problems(text)
    assert told in "\n".join(found)
    assert not any("not None" in problem for problem in found), "told twice"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 problem"):
        load(tmp_path / "none.yml", TASKS)
    (tmp_path / "latin.yml").write_bytes(b"- play: \xff")
    with pytest.raises(InputError) as caught:
        load(tmp_path / "latin.yml", TASKS)
    assert "not UTF-8" in str(caught.value)


BOOK = parse(
    """
- {play: A, hosts: all, tags: [early], tasks: [os.prepare, kubelet.join: {token: x}]}
- {play: B, hosts: all, tasks: [kubelet.join: {token: y}]}
- {play: C, hosts: all, tags: [always], tasks: [os.prepare]}
""",
    TASKS,
)


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ((), {"A": 2, "B": 1, "C": 1}),
        (("early",), {"A": 2, "C": 1}),
        (("kubelet",), {"A": 1, "B": 1, "C": 1}),
        (("kubelet.join",), {"A": 1, "B": 1, "C": 1}),
        (("early", "kubelet"), {"A": 2, "B": 1, "C": 1}),
    ],
)
def test_tags_select_plays_and_tasks(tags: tuple[str, ...], left: dict[str, int]) -> None:
    assert {play.name: len(play.tasks) for play in BOOK.tagged(tags).plays} == left


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ((), ["kubelet.join"]),
        (("os",), []),
        (("wipe",), ["os.prepare"]),
        (("never",), ["os.prepare", "os.prepare"]),
        (("web",), ["os.prepare", "kubelet.join"]),
    ],
)
def test_what_never_runs_unless_asked_for(tags: tuple[str, ...], left: list[str]) -> None:
    """As in Ansible; a task's name and subject, which nobody wrote as tags, do not ask for it."""
    book = parse(
        """
- play: A
  hosts: all
  tags: web
  tasks: [{os.prepare: null, tags: [never, wipe]}, {kubelet.join: {token: x}}]
- {play: B, hosts: all, tags: [never], tasks: [os.prepare]}
""",
        TASKS,
    )
    assert [call.name for play in book.tagged(tags).plays for call in play.tasks] == left


def test_orders_are_ansibles() -> None:
    (told,) = problems("- {play: A, hosts: all, order: reverse, tasks: [os.prepare]}")
    assert "one of inventory, reverse_inventory, sorted, reverse_sorted, shuffle is expected here" in told


def test_unknown_tag_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        BOOK.tagged(["erly"])
    assert "did you mean early?" in str(caught.value)


@pytest.mark.parametrize(
    ("serial", "hosts", "total", "sizes"),
    [
        ((), 5, None, [5]),
        ((Portion(2),), 5, None, [2, 2, 1]),
        ((Portion(30, percent=True),), 10, None, [3, 3, 3, 1]),
        ((Portion(30, percent=True),), 2, None, [1, 1]),
        ((Portion(1), Portion(50, percent=True)), 10, None, [1, 5, 4]),
        ((Portion(30, percent=True),), 3, 10, [3]),
        ((Portion(3),), 0, None, []),
    ],
)
def test_serial_batches(serial: tuple[Portion, ...], hosts: int, total: int | None, sizes: list[int]) -> None:
    play = BOOK.plays[0]
    names = [f"h{number}" for number in range(hosts)]
    everyone = [f"h{number}" for number in range(hosts if total is None else total)]
    cut = type(play)(name="x", hosts="all", tasks=(), serial=serial).batches(names, everyone=everyone)
    assert [len(batch) for batch in cut] == sizes
    assert [name for batch in cut for name in batch] == names


def test_pools_come_one_after_the_other() -> None:
    """Each in its own batches; a host of two belongs to the first, who is in none comes last."""
    play = type(BOOK.plays[0])(name="x", hosts="all", tasks=(), serial=(Portion(1),), by_group=True)
    everyone = ["a", "b", "c", "d", "e", "f", "g"]
    web = Pool(name="web", hosts=frozenset("abcd"), serial=(Portion(50, percent=True),))
    db = Pool(name="db", hosts=frozenset("bef"), serial=(Portion(5),), most=Portion(1))
    cut = play.batches(everyone, everyone=everyone, pools=(web, db))
    assert cut == [("a", "b"), ("c", "d"), ("e",), ("f",), ("g",)]
    assert play.batches(["d"], everyone=everyone, pools=(web, db)) == [("d",)], "a percentage is of the whole pool"
    assert replace(play, by_group=False).batches(["a", "b"], everyone=everyone, pools=(web,)) == [("a",), ("b",)]


@pytest.mark.parametrize(("text", "portion"), [("3", Portion(3)), ("25%", Portion(25, percent=True))])
def test_portions_are_read(text: str, portion: Portion) -> None:
    assert Portion.of(text) == portion
