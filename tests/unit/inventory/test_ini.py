"""Ansible's INI format: what its values are, and everything wrong in a file at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.formats.ini_file import literal
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory


def read(folder: Path, text: str) -> Inventory:
    path = folder / "hosts.ini"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("-1.5", -1.5), ("True", True), ("true", "true"), ("yes", "yes"), ("None", None), ("", ""),
        ("'5'", "5"), ("[1, 'a']", [1, "a"]), ("(1, 2)", [1, 2]), ("{'a': None}", {"a": None}), ("0755", "0755"),
        ("0x1f", 31), ("1_000", 1000), ("a b", "a b"), ("{{ x }}", "{{ x }}"), ("a # b", "a # b"), ("5 # five", 5),
        ("...", "..."), ("b'x'", "b'x'"), ("1j", "1j"), ("C:\\dir", "C:\\dir"), ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"), ("'open", "'open"), ("{'a': b}", "{'a': b}"), ("-", "-"), ("~/x", "~/x"),
        (".5", 0.5), (".5.x", ".5.x"),
    ],
)  # fmt: skip
def test_a_literal_is_one_or_text(text: str, value: Any) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_a_port_counts_where_the_host_is_first_named(tmp_path: Path) -> None:
    found = read(tmp_path, "[a]\nh:2222\n[b]\nh:3333\nw[1:2]:2200\n[2001:db8::1]:22\n")
    assert [host.connection.port for host in found.hosts.values()] == [2222, 2200, 2200, 22]
    assert list(found.hosts) == ["h", "w1", "w2", "2001:db8::1"]


def test_a_section_known_from_an_earlier_source_needs_no_second_declaration(tmp_path: Path) -> None:
    (tmp_path / "1.ini").write_text("[web]\nw1\n")
    (tmp_path / "2.ini").write_text("[web:vars]\nx=1\n[top:children]\nweb\n")
    found = load(tmp_path)
    assert (found.groups["top"], found.hosts["w1"].vars["x"]) == (("w1",), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[web:vars]\nx=1", "1: [web:vars]: the group web is not declared anywhere; write [web] for an"),
        ("[web]\nh\n[top:children]\nwbe", "4: [top:children]: the group wbe is not declared anywhere; did you"),
        ("[web:var]\nx=1", "1: [ungrouped:var]: [web:var] is not known; did you mean vars?"),
        ("[web servers]\nh", "1: [ungrouped]: '[web servers]' is no section: it has blanks or other signs inside"),
        ("[web]\nh\n[web:vars]\nx: 1", "4: [web:vars]: expected name=value, found 'x: 1'"),
        ("[web]\nh port 22", "2: [web]: expected name=value beside a host, found 'port'"),
        ('[web]\nh x="open', "2: [web]: no closing quotation in 'h x=\"open'"),
        ("[web]\nw[1:x]", "2: [web]: [1:x] is not a range like [1:5], [01:50:2] or [a:f]"),
        ("[web]\nh:", "2: [web]: 'h:' ends with a colon: a port is missing, or this is YAML (.yml)"),
        ("---\nall:\n  hosts:", "1: [ungrouped]: `---` begins a YAML file: name it with .yml"),
        ("[web]\nh\n[top:children]\nall", "4: [top:children]: all cannot be a child: it holds every group already"),
        ("[web]\nh\n[web:children]\na b", "4: [web:children]: expected the name of a group, found 'a b'"),
        ("[web]\nh x=1\nh x=2", "3: [web]: h stands twice in [web], first in line 2 with another x"),
        ("[a:children]\nb\n[b:children]\na", "the group a would be inside itself: a > b > a"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in "\n".join(str(problem).replace(f"{tmp_path}/hosts.ini:", "") for problem in caught.value.problems)


def test_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "[web]\nh x\nw[2:1]\n[web:vars]\nno\n[top:children]\nnobody\n[x:y]\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 5, 7, 8]


def test_the_same_host_again_is_fine(tmp_path: Path) -> None:
    found = read(tmp_path, "[web]\nw[1:3] x=1\nw2 y=2\nw3 x=1\n[db]\nw1 x=5\n")
    assert dict(found.hosts["w2"].vars) == {"x": 1, "y": 2}
    assert found.hosts["w1"].vars["x"] == 5
