from __future__ import annotations

import pickle
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.secret import Secret

Load = Callable[..., Inventory]


@pytest.fixture
def inventory(tmp_path: Path) -> Load:
    """Write files beside `hosts.yml` and load the folder."""

    def write(text: str, files: Mapping[str, str] | None = None, **settings: Any) -> Inventory:
        for name, content in {"hosts.yml": text, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content))
        return load(tmp_path, **settings)

    return write


def problems(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [f"{problem.line}: {problem.field}: {problem.message}" for problem in error.value.problems]


class TestHostsAndGroups:
    def test_the_blueprints_example(self, inventory: Load) -> None:
        found = inventory("""
            all:
              vars: {ansible_user: ops, ansible_become: true}
              children:
                kube_control_plane: {hosts: {cp1: {ansible_host: 192.0.2.11}, cp2: {ansible_host: 192.0.2.12}}}
                kube_node: {hosts: {"w[1:3]": {}}}
            """)
        assert [host.name for host in found.control_planes] == ["cp1", "cp2"]
        assert [host.name for host in found.workers] == ["w1", "w2", "w3"]
        first = found.hosts["cp1"]
        assert (first.connection.address, first.connection.user, first.connection.become) == ("192.0.2.11", "ops", True)
        assert (found.hosts["w2"].connection.address, found.hosts["w2"].line) == ("w2", 6)
        assert found.groups["all"] == ("cp1", "cp2", "w1", "w2", "w3")
        assert found.source is not None

    def test_a_file_and_a_folder_are_the_same(self, inventory: Load, tmp_path: Path) -> None:
        from_folder = inventory("all: {hosts: {a: }}")
        assert load(tmp_path / "hosts.yml").hosts.keys() == from_folder.hosts.keys()

    def test_groups_hold_the_hosts_of_those_below(self, inventory: Load) -> None:
        found = inventory("""
            all:
              hosts: {lonely: }
              children:
                top:
                  children:
                    middle: {children: {bottom: }}
            bottom: {hosts: {b: , a: }}
            """)
        assert found.groups["top"] == found.groups["middle"] == found.groups["bottom"] == ("b", "a")
        assert found.hosts["a"].groups == {"top", "middle", "bottom"}
        assert found.hosts["lonely"].groups == {"ungrouped"}
        assert found.groups["ungrouped"] == ("lonely",)
        assert found.groups["all"] == ("lonely", "b", "a")

    def test_a_group_keeps_its_own_order(self, inventory: Load) -> None:
        """The first of kube_control_plane founds the cluster: the first as listed there, whatever `all` lists first."""
        found = inventory("""
            all:
              children:
                kube_control_plane: {hosts: {cp1: , cp2: }}
                kube_node: {children: {more: {hosts: {w3: }}}, hosts: {w1: , w2: }}
              hosts: {w1: , cp2: , cp1: , alone: }
            """)
        assert found.groups["kube_control_plane"] == ("cp1", "cp2")
        assert found.groups["kube_node"] == ("w1", "w2", "w3")
        assert found.groups["all"] == ("w1", "cp2", "cp1", "alone", "w2", "w3")

    def test_a_host_may_stand_in_many_groups(self, inventory: Load) -> None:
        found = inventory("""
            one: {hosts: {a: {x: 1}}}
            two: {hosts: {a: {y: 2}, b: }}
            """)
        assert dict(found.hosts["a"].vars) == {"x": 1, "y": 2}
        assert found.hosts["a"].groups == {"one", "two"}
        assert found.hosts["a"].line == 2

    def test_names_are_text(self, inventory: Load) -> None:
        found = inventory("all: {hosts: {1: , on: , 2026-01-01: }}")
        assert list(found.hosts) == ["1", "on", "2026-01-01"]

    def test_anchors_and_merge_keys(self, inventory: Load) -> None:
        found = inventory("""
            all:
              hosts:
                a: &same {x: 1, y: 1}
                b: {<<: *same, y: 2}
            """)
        assert dict(found.hosts["b"].vars) == {"x": 1, "y": 2}

    def test_a_single_host_may_be_text(self, inventory: Load) -> None:
        assert list(inventory("web: {hosts: only}").hosts) == ["only"]

    def test_a_port_in_the_name(self, inventory: Load) -> None:
        found = inventory('all: {hosts: {"a:2222": , "b:22": {ansible_port: 23}}}')
        assert found.hosts["a"].connection.port == 2222
        assert found.hosts["b"].connection.port == 23


class TestPrecedence:
    def test_parents_lose_to_children_and_both_to_hosts(self, inventory: Load) -> None:
        found = inventory("""
            all:
              vars: {a: all, b: all, c: all, d: all}
              children:
                parent:
                  vars: {b: parent, c: parent, d: parent}
                  children:
                    child: {vars: {c: child, d: child}, hosts: {h: {d: host}}}
            """)
        assert dict(found.hosts["h"].vars) == {"a": "all", "b": "parent", "c": "child", "d": "host"}

    def test_among_equals_the_later_name_wins_unless_priority_says_other(self, inventory: Load) -> None:
        found = inventory("""
            a: {vars: {x: a, y: a, ansible_group_priority: 10}, hosts: {h: }}
            b: {vars: {x: b}, hosts: {h: }}
            c: {vars: {y: c}, hosts: {h: }}
            """)
        assert (found.hosts["h"].vars["x"], found.hosts["h"].vars["y"]) == ("a", "a")
        found = inventory("a: {vars: {x: a}, hosts: {h: }}\nb: {vars: {x: b}, hosts: {h: }}\n")
        assert found.hosts["h"].vars["x"] == "b"

    def test_priority_is_about_the_group(self, inventory: Load) -> None:
        found = inventory("a: {vars: {ansible_group_priority: 10}, hosts: {h: {ansible_group_priority: 3}, g: }}")
        assert dict(found.hosts["g"].vars) == {}
        assert dict(found.hosts["h"].vars) == {"ansible_group_priority": 3}

    def test_depth_goes_before_priority(self, inventory: Load) -> None:
        found = inventory("""
            top: {vars: {x: top, ansible_group_priority: 99}, children: {low: {vars: {x: low}, hosts: {h: }}}}
            """)
        assert found.hosts["h"].vars["x"] == "low"

    def test_files_win_over_the_inventory_and_extra_vars_over_all(self, inventory: Load) -> None:
        files = {
            "group_vars/all.yml": "a: file-all\nb: file-all\nc: file-all\n",
            "group_vars/web/10.yml": "b: file-web-10\nc: file-web-10\n",
            "group_vars/web/20.yaml": "c: file-web-20\n",
            "group_vars/web/.hidden.yml": "c: hidden\n",
            "group_vars/nobody.yml": "c: other\n",
            "host_vars/h.yml": "d: file-host\ne: file-host\n",
        }
        text = "web: {vars: {a: web, z: web}, hosts: {h: {a: host, d: host, e: host}}}"
        found = inventory(text, files, extra_vars={"e": "extra"})
        assert dict(found.hosts["h"].vars) == {
            "a": "host",
            "b": "file-web-10",
            "c": "file-web-20",
            "d": "file-host",
            "e": "extra",
            "z": "web",
        }

    def test_group_vars_of_all_win_over_group_vars_in_the_inventory(self, inventory: Load) -> None:
        """Ansible's order, surprising as it is: every file wins over every variable in the inventory file."""
        found = inventory("web: {vars: {a: web}, hosts: {h: }}", {"group_vars/all.yml": "a: file-all"})
        assert found.hosts["h"].vars["a"] == "file-all"


class TestConnection:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ("ansible_host: 10.0.0.1", {"address": "10.0.0.1"}),
            ("ansible_port: '2222'", {"port": 2222}),
            ("ansible_user: root", {"user": "root"}),
            ("ansible_ssh_user: root", {"user": "root"}),
            ("ansible_password: x", {"password": Secret("x")}),
            ("ansible_ssh_pass: 1234", {"password": Secret("1234")}),
            ("ansible_become: 'yes'", {"become": True}),
            ("ansible_become: no", {"become": False}),
            ("ansible_become_user: app", {"become_user": "app"}),
            ("ansible_become_pass: y", {"become_password": Secret("y")}),
            ("ansible_become_method: sudo", {}),
            ("ansible_connection: local", {"kind": "local"}),
            ("ansible_connection: ansible.builtin.ssh", {"kind": "ssh"}),
            ("ansible_timeout: 3", {"connect_timeout": 3.0}),
            ("ansible_ssh_private_key_file: /k", {"key_file": Path("/k")}),
            ("ansible_ssh_common_args: -J bastion", {"proxy_jump": "bastion"}),
            ("ansible_ssh_common_args: '-o ProxyJump=a,b -o ControlMaster=auto -C'", {"proxy_jump": "a,b"}),
            ("ansible_ssh_extra_args: -oProxyJump=a", {"proxy_jump": "a"}),
            ("ansible_ssh_common_args: '-o UserKnownHostsFile=/kh'", {"known_hosts": (Path("/kh"),)}),
            (
                """ansible_ssh_common_args: '-o "UserKnownHostsFile /a /b"'""",
                {"known_hosts": (Path("/a"), Path("/b"))},
            ),
            ("ansible_ssh_common_args: '-p 23 -l me -i /k'", {"port": 23, "user": "me", "key_file": Path("/k")}),
            ("ansible_ssh_common_args: '-o Port=23 -oUser=me'", {"port": 23, "user": "me"}),
            (
                "ansible_ssh_common_args: '-o ProxyCommand=\"ssh -q -p 23 -W %h:%p me@b\"'",
                {"proxy_jump": "me@b:23"},
            ),
        ],
    )
    def test_variables(self, inventory: Load, variables: str, expected: Mapping[str, Any]) -> None:
        found = inventory(f"all:\n  hosts:\n    h:\n      {variables}\n").hosts["h"].connection
        assert {name: getattr(found, name) for name in expected} == dict(expected)

    def test_relative_paths_start_at_the_inventory(self, inventory: Load, tmp_path: Path) -> None:
        found = inventory("""
            all:
              vars:
                ansible_ssh_private_key_file: keys/id
                ansible_ssh_common_args: -o UserKnownHostsFile=known_hosts
              hosts: {a: , b: {ansible_ssh_private_key_file: ~/id}}
            """)
        assert found.hosts["a"].connection.key_file == tmp_path / "keys/id"
        assert found.hosts["a"].connection.known_hosts == (tmp_path / "known_hosts",)
        assert found.hosts["b"].connection.key_file == Path("~/id").expanduser()

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ("ansible_connection: winrm", "only ssh and local are"),
            ("ansible_connection: lokal", "did you mean local?"),
            ("ansible_port: abc", "expected a port"),
            ("ansible_port: 70000", "expected a port"),
            ("ansible_port: true", "expected a port"),
            ("ansible_become: maybe", "expected true or false"),
            ("ansible_become_method: doas", "only sudo is"),
            ("ansible_timeout: soon", "expected seconds"),
            ("ansible_host: [a]", "expected text"),
            ("ansible_host: ''", "expected text"),
            ('ansible_password: "a\\nb"', "more than one line"),
            ("ansible_hots: a", "did you mean ansible_host?"),
            ("ansible_usr: a", "did you mean ansible_user?"),
            ("ansible_ssh_common_args: '-o ProxyCommand=\"nc %h %p\"'", "proxycommand is not served; use -J"),
            ("ansible_ssh_common_args: -F my_config", "-F is not read"),
            ("ansible_ssh_common_args: '\"open'", "No closing quotation"),
        ],
    )
    def test_mistakes(self, inventory: Load, variables: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            inventory(f"all:\n  hosts:\n    h:\n      {variables}\n")
        (problem,) = caught.value.problems
        assert message in problem.message
        assert problem.line == 4
        assert problem.field == variables.partition(":")[0]

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            (
                "ansible_ssh_common_args: -o StrictHostKeyChecking=no",
                "Checking=no: a host's key is always",
            ),
            ("ansible_ssh_extra_args: -oStrictHostKeyChecking=accept-new", "the key must be in known_hosts"),
            ("ansible_ssh_args: -o ConnectTimeout=3", "ConnectTimeout has no effect here; set ansible_timeout"),
            ("ansible_ssh_args: -o IdentitiesOnly=yes", "has no effect here; set it in ~/.ssh/config"),
            ("ansible_ssh_args: -o Ciphers=aes128-ctr", "the ssh option Ciphers has no effect here"),
            ("ansible_host_key_checking: false", "a host's key is always checked"),
            ("ansible_become_exe: doas", "has no effect here"),
        ],
    )
    def test_what_has_no_effect_is_warned_of(self, inventory: Load, variables: str, message: str) -> None:
        (warning,) = inventory(f"all:\n  hosts:\n    h:\n      {variables}\n").warnings
        assert message in warning.message
        assert (warning.warning, warning.line, warning.field) == (True, 4, variables.partition(":")[0])
        assert warning.file is not None

    @pytest.mark.parametrize(
        "variables",
        [
            "ansible_ssh_common_args: -o StrictHostKeyChecking=yes -o ControlMaster=auto -o ControlPersist=60s -C -q",
            "ansible_host_key_checking: true",
            "ansible_python_interpreter: /usr/bin/python3",
        ],
    )
    def test_what_makes_no_difference_is_not(self, inventory: Load, variables: str) -> None:
        assert inventory(f"all:\n  hosts:\n    h:\n      {variables}\n").warnings == ()

    def test_warnings_come_with_mistakes_and_do_not_count(self, inventory: Load) -> None:
        with pytest.raises(InputError, match=r"^1 problem in the input") as caught:
            inventory("all:\n  vars: {ansible_become_exe: doas}\n  hosts:\n    h: {ansible_port: x}\n")
        assert [(problem.line, problem.warning) for problem in caught.value.problems] == [(2, True), (4, False)]
        assert "doas" not in str(caught.value)

    def test_a_warning_of_a_group_is_told_once(self, inventory: Load) -> None:
        found = inventory("all: {vars: {ansible_ssh_args: -o StrictHostKeyChecking=no}, hosts: {'w[1:100]': }}")
        assert len(found.warnings) == 1

    def test_a_mistake_in_a_group_is_told_once(self, inventory: Load) -> None:
        with pytest.raises(InputError) as caught:
            inventory("all: {vars: {ansible_port: x}, hosts: {'w[1:100]': }}")
        assert len(caught.value.problems) == 1


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


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("all: {hsots: {a: }}", "1: all.hsots: hsots is not known in a group; did you mean hosts?"),
            ("all: {xyz: {a: }}", "1: all.xyz: xyz is not known in a group; a group has hosts, vars, children"),
            ("all:\n  hosts:\n    a: 10.0.0.1", ("3: all.hosts.a: expected variables (name: value), found the text "
             "'10.0.0.1'; did you mean a: {ansible_host: 10.0.0.1}?")),
            ("all: {hosts: [a, b]}", ("1: all.hosts: expected hosts (name: variables), each ending with a colon, "
             "found a list")),
            ("all: {vars: 3}", "1: all.vars: expected variables (name: value), found the number 3"),
            ("all: {children: {b: text}}", ("1: all.children.b: expected a group (hosts, vars, children), found the "
             "text 'text'")),
            ("- a", "1: expected groups (all: hosts: ...), found a list"),
            ("all: {hosts: {'': }}", "1: all.hosts.: a host without a name"),
            ("all: {hosts: {'a b': }}", "1: all.hosts.a b: a blank in a host's name"),
            ("all: {hosts: {'w[1:x]': }}", "1: all.hosts.w[1:x]: [1:x] is not a range like [1:5], [01:50:2] or [a:f]"),
            ("all: {hosts: {'w[1:5': }}", "1: all.hosts.w[1:5: a bracket is not closed"),
            ("all: {hosts: {a: , a: }}", "1: all.hosts: a stands here twice, first in line 1"),
            ("a: {children: {b: }}\nb: {children: {c: }}\nc: {children: {a: }, hosts: {h: }}",
             "3: c: the group a would be inside itself: a > b > c > a"),
            ("a: {children: {a: {hosts: {h: }}}}", "1: a: the group a would be inside itself: a > a"),
            ("a: {children: {all: }, hosts: {h: }}", ("1: a.children.all: all cannot be a child: it holds every group "
             "already")),
            ("a: {vars: {ansible_group_priority: high}, hosts: {h: }}",
             "1: a.vars.ansible_group_priority: expected a whole number, found 'high'"),
            ("a: {hosts: {h: {x: !vault abc}}}", ("1: a.hosts.h.x: values encrypted by ansible-vault are not read; "
             "keep the secret in a file of its own")),
            ("", "1: there is no host in it"),
            ("all: {hosts: }", "1: there is no host in it"),
        ],
    )  # fmt: skip
    def test_each_is_one_problem(self, inventory: Load, text: str, expected: str) -> None:
        with pytest.raises(InputError) as caught:
            inventory(text)
        assert [line.replace(" None: ", " ").replace(": : ", ": ") for line in problems(caught)] == [expected]

    @pytest.mark.parametrize(("text", "line"), [("a: b: c", 1), ("a:\n\t- b", 2), ('a: "open', 1)])
    def test_not_yaml(self, inventory: Load, text: str, line: int) -> None:
        with pytest.raises(InputError) as caught:
            inventory(text)
        assert [problem.line for problem in caught.value.problems] == [line]

    def test_all_problems_come_at_once_in_order(self, inventory: Load) -> None:
        with pytest.raises(InputError) as caught:
            inventory(
                """
                all:
                  vars: {ansible_port: x}
                  hosts: {"w[5:1]": , b: {ansible_host: "{{ no }}"}}
                  wrong: 1
                """,
                {"host_vars/b.yml": "- a list"},
            )
        assert [(Path(p.file or "").name, p.line) for p in caught.value.problems] == [
            ("b.yml", 1),
            ("hosts.yml", 3),
            ("hosts.yml", 4),
            ("hosts.yml", 4),
            ("hosts.yml", 5),
        ]
        assert caught.value.exit_code == 10

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such inventory"):
            load(tmp_path / "no")
        with pytest.raises(InputError, match=r"no hosts\.yml in this folder"):
            load(tmp_path)

    def test_another_format(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.ini").write_text("[web]\na\n")
        with pytest.raises(InputError, match="ansible-inventory -i"):
            load(tmp_path / "hosts.ini")


def test_a_thousand_hosts_load_fast(inventory: Load) -> None:
    hosts = "".join(f"    h{i}: {{ansible_host: 10.1.{i // 250}.{i % 250}}}\n" for i in range(1000))
    begin = time.process_time()
    assert len(inventory("all:\n  vars: {ansible_user: ops}\n  hosts:\n" + hosts).hosts) == 1000
    assert time.process_time() - begin < 1.0  # 0.06 s when idle


def test_hosts_travel_to_other_processes(inventory: Load) -> None:
    host = inventory('all: {hosts: {a: {n: 1, ansible_host: "10.0.0.{{ n }}"}}}').hosts["a"]
    copy = pickle.loads(pickle.dumps(host))
    assert copy.vars["ansible_host"] == "10.0.0.1"
    assert copy == host
