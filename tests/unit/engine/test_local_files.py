"""Files that a playbook names are looked for before any host is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge import tasks
from kubeforge.engine.local_files import refuse_missing
from kubeforge.engine.playbook_loader import load
from kubeforge.errors import InputError

REGISTRY = tasks.load()


def problems(folder: Path, *calls: str) -> list[str]:
    book = folder / "site.yml"
    book.write_text("- play: P\n  hosts: all\n  tasks:\n" + "".join(f"    - {call}\n" for call in calls))
    try:
        refuse_missing(load(book, REGISTRY), REGISTRY)
    except InputError as error:
        return [str(one).replace(f"{folder}/", "") for one in error.problems]
    return []


@pytest.mark.parametrize(
    "call",
    [
        "file.copy: {src: it, dest: /it}",
        "file.template: {src: it, dest: /it}",
        "archive.unpacked: {src: it, dest: /it}",
        "command.script: {src: it}",
        "firewall.nftables: {src: it}",
    ],
)
def test_a_file_that_is_not_there(tmp_path: Path, call: str) -> None:
    folder = "templates" if "template" in call else "files"
    name = call.partition(":")[0]
    assert problems(tmp_path, "debug.facts", call) == [
        f"site.yml:5: {name}.src: there is no it on this machine; looked for: {folder}/it, it"
    ]
    (tmp_path / "it").write_text("it")
    assert problems(tmp_path, call) == []


def test_what_is_known_later_is_left_to_the_plan(tmp_path: Path) -> None:
    calls = (
        "file.copy: {src: '{{ name }}', dest: /it}",
        "archive.unpacked: {src: /srv/it.tar, dest: /it, on_host: true}",
        "command.script: {text: 'true'}",
    )
    assert problems(tmp_path, *calls) == []


def test_templates_that_are_none_with_their_own_lines(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    for name, text in {"a": "{{ a }}\n{% if a %}\n", "b": "\n\n{{ a | nofilter }}\n", "c": "{{ nowhere }}\n"}.items():
        (tmp_path / "templates" / name).write_text(text)
    (tmp_path / "templates" / "d").write_bytes(b"\xff")
    told = problems(tmp_path, *(f"file.template: {{src: {name}, dest: /it}}" for name in "abcda"))
    assert [one.partition(": ")[0] for one in told] == ["templates/a:2", "templates/b:3", "templates/d"]
    assert "nofilter" in told[1]
    assert "UTF-8" in told[2]


def test_of_an_included_file_with_that_ones_line(tmp_path: Path) -> None:
    """Looked for beside the playbook all the same."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "list.yml").write_text("- debug.facts\n- file.copy: {src: it, dest: /it}\n")
    (told,) = problems(tmp_path, "include: more/list.yml")
    assert told == "more/list.yml:2: file.copy.src: there is no it on this machine; looked for: files/it, it"
