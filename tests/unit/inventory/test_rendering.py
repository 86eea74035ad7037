"""Templates in variables."""

from __future__ import annotations

import json
import pickle

import pytest
import yaml

from kubeforge.errors import InputError
from kubeforge.inventory.listing import written_variables
from kubeforge.secret import Secret
from tests.unit.inventory.conftest import Load, problems


class TestRendering:
    def test_values_refer_to_others(self, inventory: Load) -> None:
        found = inventory("""
            all:
              vars:
                net: 10.0.0
                ansible_host: "{{ net }}.{{ number }}"
                ansible_port: "{{ base + number }}"
                base: 2200
                words: ["{{ inventory_hostname }}", {deep: "{{ group_names | join(',') }}"}]
                peers: "{{ groups['all'] | length }}"
                fallback: "{{ nothing | default('x') }}"
              hosts: {a: {number: 1}, b: {number: 2}}
            """)
        b = found.hosts["b"]
        assert (b.connection.address, b.connection.port) == ("10.0.0.2", 2202)
        assert b.vars["words"] == ["b", {"deep": "ungrouped"}]
        assert b.vars["peers"] == 2
        assert b.vars["fallback"] == "x"

    def test_text_stays_text(self, inventory: Load) -> None:
        found = inventory("""
            all: {hosts: {a: {one: 1, two: "{{ one }}.{{ one }}", raw: !unsafe "{{ one }}", three: "{{ one }}"}}}
            """).hosts["a"]
        assert (found.vars["two"], found.vars["raw"], found.vars["three"]) == ("1.1", "{{ one }}", 1)

    def test_an_unused_value_need_not_be_ours_to_render(self, inventory: Load) -> None:
        found = inventory("all: {vars: {x: \"{{ lookup('env', 'HOME') }}\"}, hosts: {a: {}}}").hosts["a"]
        with pytest.raises(InputError, match="lookup is not defined"):
            found.vars["x"]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("{{ ip_adr }}", "the variable ip_adr is not defined; did you mean ip_addr?"),
            ("{{ a.b.c }}", "'dict object' has no attribute 'b'"),
            ("{{ ansible_host }}", "it needs itself: ansible_host > ansible_host"),
            ("{{ loop }}", "it needs itself: ansible_host > loop > ansible_host"),
            ("{{ a | ipaddr }}", "not a Jinja expression: No filter named 'ipaddr'"),
            ("{{ a", "not a Jinja expression"),
            ("{{ 1 / 0 }}", "cannot be rendered: division by zero"),
            ("{{ ''.__class__.mro() }}", "unsafe"),
        ],
    )
    def test_mistakes(self, inventory: Load, value: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            inventory(f"""
            all:
              vars: {{ip_addr: 1, a: {{}}, loop: "{{{{ ansible_host }}}}"}}
              hosts:
                h:
                  ansible_host: "{value}"
            """)
        assert any(message in text for text in problems(caught)), problems(caught)
        assert all(problem.file and problem.line for problem in caught.value.problems)

    def test_secrets_stay_secret_through_templates(self, inventory: Load) -> None:
        found = inventory("""
            all:
              vars:
                ansible_password: geheim
                ansible_become_password: "{{ ansible_password }}"
                copied: "x{{ ansible_password }}"
                twice: "{{ copied }}"
              hosts: {h: }
            """).hosts["h"]
        assert found.connection.become_password == Secret("geheim")
        assert found.vars["copied"] == Secret("xgeheim")
        assert found.vars["twice"] == Secret("xgeheim")
        assert "geheim" not in f"{found!r} {dict(found.vars)}"


class TestOtherHosts:
    def test_hostvars(self, inventory: Load) -> None:
        found = inventory("""
            db: {hosts: {db1: {ansible_host: 10.0.0.5, port: 5432}, db2: {ansible_host: "10.0.0.{{ port }}", port: 6}}}
            web:
              hosts: {w1: }
              vars:
                first: "{{ hostvars['db1'].ansible_host }}:{{ hostvars.db1.port }}"
                all_of_them: "{{ groups['db'] | map('extract', hostvars, 'ansible_host') | list }}"
                names: "{{ groups['db'] | map('extract', hostvars) | map(attribute='inventory_hostname') | join(' ') }}"
            """).hosts["w1"]
        assert found.vars["first"] == "10.0.0.5:5432"
        assert found.vars["all_of_them"] == ["10.0.0.5", "10.0.0.6"]
        assert found.vars["names"] == "db1 db2"

    def test_their_secrets_stay_secret(self, inventory: Load) -> None:
        found = inventory("""
            all:
              hosts:
                a: {ansible_password: geheim}
                b: {copied: "{{ hostvars.a.ansible_password }}", plain: "{{ hostvars.a.inventory_hostname }}"}
            """).hosts["b"]
        assert (found.vars["copied"], found.vars["plain"]) == (Secret("geheim"), "a")

    def test_two_that_need_each_other(self, inventory: Load) -> None:
        found = inventory("""
            all: {hosts: {a: {x: "{{ hostvars.b.x }}"}, b: {x: "{{ hostvars.a.x }}"}}}
            """).hosts["a"]
        with pytest.raises(InputError, match="it needs itself, through hostvars"):
            found.vars["x"]

    def test_they_stay_behind_when_a_host_travels(self, inventory: Load) -> None:
        found = inventory("all: {hosts: {a: {n: 1}, b: {x: '{{ hostvars.a.n }}'}}}").hosts["b"]
        assert pickle.loads(pickle.dumps(found)).vars["x"] == 1
        assert b"hostvars" not in pickle.dumps(found).replace(b"{{ hostvars.a.n }}", b"")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'yes' | bool", True), ("'no' | bool", False), ("none | bool", None),
        ("'web-01' | regex_replace('-0*', '_')", "web_1"), ("'a.b' | regex_escape", "a\\.b"),
        ("'rack 7b' | regex_search('[0-9]+')", "7"), ("'x' | regex_search('[0-9]+')", None),
        ("'r7b' | regex_search('([0-9])([a-z])', '\\2', '\\1')", ["b", "7"]),
        ("'no' | ternary('a', 'b')", "a"), ("'' | ternary('a', 'b')", "b"), ("'y' | bool", False), ("2 | bool", False),
        ("['A', 'a', 'b'] | unique", ["A", "b"]), ("['A', 'a'] | unique(case_sensitive=true)", ["A", "a"]),
        ("'a1b2' | regex_findall('[0-9]')", ["1", "2"]), ("'a,b' | split(',')", ["a", "b"]),
        ("(1 > 2) | ternary('a', 'b')", "b"), ("none | ternary('a', 'b', 'c')", "c"),
        ("{'a': {'b': 1}} | combine({'a': {'c': 2}}, recursive=true)", {"a": {"b": 1, "c": 2}}),
        ("{'a': 1} | combine({'a': 2})", {"a": 2}), ("{'a': 1} | dict2items", [{"key": "a", "value": 1}]),
        ("[{'key': 'a', 'value': 1}] | items2dict", {"a": 1}), ("[1, [2, [3, none]]] | flatten", [1, 2, 3]),
        ("[1, [2, [3]]] | flatten(levels=1)", [1, 2, [3]]), ("[1, 2, 2] | union([3])", [1, 2, 3]),
        ("[1, 2] | difference([2])", [1]), ("[1, 2] | intersect([2])", [2]), ("[[1], [1]] | unique", [[1]]),
        ("'grün' | b64encode | b64decode", "grün"), ("'/a/b.c' | basename ~ ':' ~ ('/a/b.c' | dirname)", "b.c:/a"),
        ("'[1]' | from_json", [1]), ("{'a': 1} | to_json", '{"a": 1}'),
        ("'x' | hash('sha256') | length", 64), ("'web1' is match('web')", True), ("'my-web1' is match('web')", False),
        ("'my-web1' is search('WEB', ignorecase=true)", True), ("[1] is subset([1, 2])", True),
        ("[1, 2] is contains(1)", True), ("'' is falsy", True),
    ],
)  # fmt: skip
def test_ansibles_everyday_filters(inventory: Load, expression: str, value: object) -> None:
    text = f"all: {{hosts: {{h: {{x: {json.dumps('{{ ' + expression + ' }}')}}}}}}}"
    assert inventory(text).hosts["h"].vars["x"] == value


def test_unsafe_text_is_never_rendered_wherever_it_stands(inventory: Load) -> None:
    found = inventory("all: {hosts: {h: {x: 5, b: {c: !unsafe '{{ x }}', d: [!unsafe '{% y', '{{ x }}']}}}}").hosts["h"]
    assert found.vars["b"] == {"c": "{{ x }}", "d": ["{% y", 5]}
    assert type(found.vars["b"]["c"]) is str
    assert "{{ x }}" in yaml.safe_dump(written_variables(found)["b"])


@pytest.mark.parametrize("text", ["{# why #}{{ x }}", "{{ x }}{# why #}"])
def test_a_comment_beside_an_expression(inventory: Load, text: str) -> None:
    assert inventory(f"all: {{hosts: {{h: {{x: web, y: '{text}'}}}}}}").hosts["h"].vars["y"] == "web"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"{{ n | regex_replace('-0*(\d+)', '_\1') }}", "web_1.eu"),
        (r"""{{ n | regex_replace("(e)\b", "<\1>") }}""", "web-01.eu"),
        (r"x {{ n | regex_replace('(w)', '\1\1') }} y\z", r"x wweb-01.eu y\z"),
        (r"{{ n | regex_search('web-(\d+)', '\1') | first }}", "01"),
        (r"""{{ "it\"s" }}""", r"it\"s"),
        (r"""{% if n is match("web-0") %}{{ "a\nb" }}{% endif %}""", r"a\nb"),
        (r"""{% set q = "a\tb" %}{{ q }}""", "a\tb"),
        (r"""{{ ["\d", {"x": "\1"}] }}""", [r"\d", {"x": r"\1"}]),
        (r"{{ '\\' }}", r"\\"),
    ],
)
def test_a_backslash_in_quotes_stands_for_itself_as_in_ansible(inventory: Load, text: str, value: object) -> None:
    """The values are what ansible-core 2.19 gives."""
    assert inventory(f"all: {{hosts: {{h: {{n: web-01.eu, x: {json.dumps(text)}}}}}}}").hosts["h"].vars["x"] == value
