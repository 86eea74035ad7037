"""Templates in variables."""

from __future__ import annotations

import pytest

from kubeforge.errors import InputError
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
