"""How a play lists tasks: keywords, included files, types of arguments, handlers; and the schema made of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from kubeforge.engine.model import Context, Task
from kubeforge.engine.playbook import Play, Portion, TaskCall
from kubeforge.engine.playbook_loader import PLAY_KEYS, parse
from kubeforge.engine.playbook_schema import playbook_schema
from kubeforge.engine.signatures import signature
from kubeforge.errors import InputError
from kubeforge.secret import Secret


def write(
    context: Context,
    *,
    path: str,
    content: str | Secret = "",
    mode: int | str = "0644",
    state: Literal["present", "absent"] = "present",
) -> Any:
    """Write a file.

    More about it.

    Args:
        path: absolute,
            on the host.
        content: what it holds.
        mode: permission bits.

    Raises:
        KubeforgeError: never.
    """


def run(
    context: Context,
    *,
    argv: Sequence[str],
    become_user: str = "",
    chdir: str = "",
    environment: Mapping[str, str | int] | None = None,
) -> Any:
    """Run a command."""


TASKS: Mapping[str, Task] = {
    "file.present": Task(name="file.present", function=write, aka=("copy", "file"), summary="Write a file."),
    "command.run": Task(name="command.run", function=run, aka=("shell",)),
}


def problems(text: str, file: str = "site.yml") -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, TASKS, file=file)
    return [str(problem) for problem in caught.value.problems]


def play_of(text: str, file: str = "site.yml") -> Play:
    return parse(text, TASKS, file=file).plays[0]


def test_every_keyword() -> None:
    play = play_of("""
- play: A
  hosts: all
  order: reverse_sorted
  max_fail_percentage: 30
  become: true
  become_user: app
  environment: {A: 1, B: 2}
  handlers:
    - name: again
      command.run: {argv: [x]}
  tasks:
    - file.present: {path: /etc/a}
      name: first
      tags: [web, late]
      notify: again
      delegate_to: w1
      run_once: true
      vars: {port: 80}
    - command.run: {argv: [a, b]}
      environment: {B: 3}
      chdir: /srv
""")
    assert (play.order, play.max_failures) == ("reverse_sorted", Portion(30, percent=True))
    first, second = play.tasks
    assert first == TaskCall(
        name="file.present",
        arguments={"path": "/etc/a"},
        line=13,
        label="first",
        own_tags=frozenset({"web", "late"}),
        notify=("again",),
        delegate_to="w1",
        run_once=True,
        vars={"port": 80},
        become=True,
        become_user="app",
    )
    assert first.tags == {"web", "late", "file", "file.present"}
    assert second.arguments == {"argv": ["a", "b"], "environment": {"A": 1, "B": 3}, "chdir": "/srv"}
    assert (play.handlers[0].become, play.handlers[0].become_user) == (True, "app")


def test_what_is_wrong_with_calls() -> None:
    found = problems("""
- play: A
  hosts: all
  order: alphabet
  tasks:
    - copy: {path: /etc/a}
    - file.presen: {path: /etc/a}
    - file.present: {path: /etc/a, mode: [6]}
      when: facts.memory > 1
    - file.present: {path: 3, state: presnt}
      chdir: /srv
    - file.present: {path: /etc/a}
      notfy: again
    - command.run: {argv: ls -l}
      notify: nobody
    - file.present: {path: "{{ a b }}", contents: x}
  handlers:
    - command.run: {argv: [x]}
""")
    assert found == [
        "site.yml:4: order: one of inventory, reverse_inventory, sorted, reverse_sorted, shuffle is expected here",
        "site.yml:6: tasks: there is no task copy (here it is file.present)",
        "site.yml:7: tasks: there is no task file.presen (did you mean file.present?)",
        "site.yml:8: when: conditions and loops are Python: write a task in the .py file beside this playbook",
        "site.yml:10: chdir: means nothing to file.present, which runs no command of yours",
        "site.yml:10: file.present.path: string is expected, not 3",
        "site.yml:10: file.present.state: 'present' or 'absent' is expected, not 'presnt'",
        "site.yml:12: notfy: is no keyword of a task (did you mean notify?)",
        "site.yml:14: command.run.argv: list is expected, not 'ls -l'",
        "site.yml:14: notify: the play has no handler 'nobody'",
        "site.yml:16: file.present.path: no template: expected token 'end of print statement', got 'b'",
        "site.yml:16: file.present: takes no argument contents (did you mean content?)",
        "site.yml:18: handlers: a handler needs a name, by which it is notified: `name: restart nginx`",
    ]


def test_included_lists(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "web.yml").write_text("- file.present: {path: /etc/web}\n- include: more.yml\n  tags: deep\n")
    (tmp_path / "parts" / "more.yml").write_text("- command.run: {argv: [x]}\n  vars: {b: 3}\n")
    play = play_of(
        "- play: A\n  hosts: all\n  tasks:\n    - include: parts/web.yml\n      tags: web\n"
        "      vars: {a: 1, b: 2}\n      chdir: /srv\n      delegate_to: w1\n",
        file=str(tmp_path / "site.yml"),
    )
    web, more = play.tasks
    assert (web.name, web.file, web.line) == ("file.present", str(tmp_path / "parts/web.yml"), 1)
    assert (web.own_tags, web.vars, web.delegate_to) == (frozenset({"web"}), {"a": 1, "b": 2}, "w1")
    assert (more.own_tags, more.vars) == (frozenset({"web", "deep"}), {"a": 1, "b": 3})
    assert more.arguments["chdir"] == "/srv"


def test_what_is_wrong_with_includes(tmp_path: Path) -> None:
    book = "- play: A\n  hosts: all\n  tasks:\n    - include: a.yml\n    - include: none.yml\n"
    (tmp_path / "a.yml").write_text("- file.present: {pat: /etc/a}\n- include: a.yml\n- include: list.yml\n")
    (tmp_path / "list.yml").write_text("no: list\n")
    found = [line.removeprefix(f"{tmp_path}/") for line in problems(book, str(tmp_path / "site.yml"))]
    assert found == [
        "site.yml:5: include: none.yml cannot be read: No such file or directory",
        "a.yml:1: file.present: takes no argument pat (did you mean path?)",
        "a.yml:1: file.present: needs the argument path",
        "a.yml:2: include: a.yml includes itself",
        "list.yml:1: a list of tasks is expected here: `- name: {arguments}`",
    ]


def test_what_docstrings_say_of_arguments() -> None:
    taken = signature(TASKS["file.present"])
    assert taken.text == "Write a file.\n\nMore about it."
    about = {name: parameter.summary for name, parameter in taken.parameters.items()}
    assert about == {
        "path": "absolute, on the host.", "content": "what it holds.", "mode": "permission bits.", "state": "",
    }  # fmt: skip


def test_the_schema_knows_every_task_and_argument() -> None:
    made = playbook_schema(TASKS)
    bare, mapping = made["$defs"]["tasks"]["items"]["anyOf"]
    assert bare == {"enum": []}, "both need arguments"
    written = mapping["properties"]["file.present"]
    assert written["required"] == ["path"]
    assert written["additionalProperties"] is False
    path, content, state = (written["properties"][name]["anyOf"][0] for name in ("path", "content", "state"))
    assert path == {"type": "string", "description": "absolute, on the host."}
    assert content == {"type": "string", "description": "what it holds."}, "a secret is text in a playbook"
    assert state["enum"] == ["present", "absent"]
    assert {"notify", "include", "command.run"} <= set(mapping["properties"])
    assert {"required": ["include"]} in mapping["oneOf"]
    assert set(made["items"]["properties"]) == set(PLAY_KEYS)
