from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from tests.unit.inventory.conftest import Load, problems


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
            ("a: {hosts: {h: {x: !vault abc}}}", ("1: a.hosts.h.x: cannot be read: it is not a text that ansible-vault "
             "made: ansible-vault encrypt_string")),
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
        with pytest.raises(InputError, match=r"there is no hosts\.yml in this folder, nor another inventory"):
            load(tmp_path)

    def test_another_format(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.toml").write_text("[web]\n")
        with pytest.raises(InputError, match="TOML inventories are not read"):
            load(tmp_path / "hosts.toml")


def test_a_thousand_hosts(inventory: Load) -> None:
    hosts = "".join(f"    h{i}: {{ansible_host: 10.1.{i // 250}.{i % 250}}}\n" for i in range(1000))
    assert len(inventory("all:\n  vars: {ansible_user: ops}\n  hosts:\n" + hosts).hosts) == 1000


def test_hosts_travel_to_other_processes(inventory: Load) -> None:
    host = inventory('all: {hosts: {a: {n: 1, ansible_host: "10.0.0.{{ n }}"}}}').hosts["a"]
    copy = pickle.loads(pickle.dumps(host))
    assert copy.vars["ansible_host"] == "10.0.0.1"
    assert copy == host
