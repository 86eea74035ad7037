"""What -i may name, and what is refused of it."""

from __future__ import annotations

import json
import os
import select
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load
from kubeforge.inventory.vault import Vault, VaultPassword
from kubeforge.secret import Secret
from tests.unit.inventory.sealing import seal

Files = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write files below a folder; those that begin with `#!` may be run."""

    def write(**content: str) -> Path:
        for name, text in content.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))
            path.chmod(0o755 if text.lstrip().startswith("#!") else 0o644)
        return tmp_path

    return write


def test_hosts_by_name(tmp_path: Path) -> None:
    found = load(Path("a,b:2222,"))
    assert [(host.name, host.connection.port) for host in found.hosts.values()] == [("a", None), ("b", 2222)]
    assert found.groups["ungrouped"] == ("a", "b")


def test_a_clusters_folder_is_only_its_hosts(files: Files) -> None:
    folder = files(hosts_DOT_yml="web: {hosts: {w1: }}", cluster_DOT_yml="name: demo", hello_DOT_yml="kind: Pod")
    assert list(load(folder).hosts) == ["w1"]
    (folder / "cluster.yml").unlink()
    with pytest.raises(InputError, match=r"hello\.yml:1: kind: expected a group"):
        load(folder)


def test_a_clusters_folder_in_ini(files: Files) -> None:
    folder = files(inventory_DOT_ini="[all]\nn1\n", cluster_DOT_yml="name: demo")
    assert list(load(folder).hosts) == ["n1"]


def test_folders_without_an_inventory_are_passed_over(files: Files) -> None:
    folder = files(hosts="w1\n", docs__notes_DOT_md="not one\n")
    assert list(load(folder).hosts) == ["w1"]


def test_a_pipe() -> None:
    """`-i <(make-inventory)` of a shell."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write("[web]\nw1\n")
    try:
        assert list(load(Path(f"/dev/fd/{reading}")).hosts) == ["w1"]
    finally:
        os.close(reading)


def test_each_host_knows_where_it_is_written(files: Files) -> None:
    folder = files(a__one_DOT_ini="w1 ansible_ssh_private_key_file=key\n", b__two="w2\n")
    found = load([folder / "a/one.ini", folder / "b"]).hosts
    assert found["w1"].connection.key_file == folder / "a/key"
    assert [Path(host.file or "").name for host in found.values()] == ["one.ini", "two"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.yml", "- hosts: all\n  tasks: []\n", "this is a playbook"),
        ("x.yml", "plugin: amazon.aws.aws_ec2\n", "the inventory plugin amazon.aws.aws_ec2 is not served"),
        ("x.toml", "[web]\n", "TOML inventories are not read"),
        ("x.ini", "\udcff", "it is not UTF-8 text"),
        ("x.sh", "#!/bin/sh\n", "it is a program that may not be run: chmod \\+x"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        load(tmp_path / name)


def test_a_group_named_like_a_host_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[web]\nweb\n")
    assert "web is both a group and a host" in str(load(tmp_path / "hosts.ini").warnings[0])


def test_a_variables_file_that_is_passed_over_is_a_warning(files: Files) -> None:
    folder = files(hosts_DOT_ini="[web]\nw1\n", group_vars__web="x: 1", group_vars__web_DOT_yml="x: 2")
    found = load(folder / "hosts.ini")
    assert found.hosts["w1"].vars["x"] == 1
    assert "is not read, because web is there" in found.warnings[0].message


class TestPrograms:
    def test_without_meta_each_host_is_asked(self, files: Files) -> None:
        folder = files(
            p="""
            #!/bin/sh
            case $1 in
            --list) echo '{"web": ["w1", "w2"], "db1": {"ansible_user": "me"}}' ;;
            --host) echo "{\\"asked\\": \\"$2\\"}" ;;
            esac
            """
        )
        found = load(folder / "p")
        assert {name: dict(host.vars) for name, host in found.hosts.items()} == {
            "w1": {"asked": "w1"},
            "w2": {"asked": "w2"},
            "db1": {"ansible_user": "me", "asked": "db1"},
        }

    def test_what_ansible_inventory_itself_answers(self, files: Files) -> None:
        answer = {
            "web": {"hosts": ["w1"], "vars": {"raw": {"__ansible_unsafe": "{{ x }}"}}},
            "_meta": {"hostvars": {"w1": {"users": [{"key": {"__ansible_vault": seal("geheim", "right")}}]}}},
        }
        folder = files(p=f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
        found = load(folder / "p", vault=Vault([VaultPassword(password=Secret("right"))])).hosts["w1"].vars
        assert dict(found) == {"raw": "{{ x }}", "users": [{"key": Secret("geheim")}]}

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ("echo no credentials >&2; exit 3", "`--list` failed with exit code 3: no credentials"),
            ("exit 1", "`--list` failed with exit code 1 and said nothing"),
            ("echo oops", "`--list` did not answer with JSON: Expecting value"),
            ("echo '[1]'", "`--list` must answer with an object, not with a list"),
            ("""echo '{"web": {"hosts": "w1"}}'""", "web.hosts: expected a list of names, found text"),
            ("""echo '{"web": {"vars": [1]}}'""", "web.vars: expected an object, found a list"),
            ("""echo '{"web": {"hosts": [5]}}'""", "web.hosts: expected a list of names"),
            ("""echo '{"_meta": {"hostvars": []}}'""", "_meta.hostvars: expected an object, found a list"),
            ("""echo '{"_meta": {"hostvars": {"w": 5}}, "web": ["w"]}'""", "w: expected an object, found a number"),
            ("""echo '{"a": {"children": ["b"]}, "b": {"children": ["a"]}}'""", "a would be inside itself: a > b > a"),
        ],
    )
    def test_mistakes(self, files: Files, script: str, message: str) -> None:
        folder = files(p=f"#!/bin/sh\n{script}\n")
        with pytest.raises(InputError) as caught:
            load(folder / "p")
        assert message in str(caught.value)

    def test_one_that_does_not_end_is_ended_with_what_it_began(self, files: Files) -> None:
        folder = files(p='#!/bin/sh\nsleep 600 & echo $! >"$0.pid"; sleep 600\n')
        with pytest.raises(InputError, match=r"`--list` did not end within 0\.5 s"):
            load(folder / "p", deadline=0.5)
        try:
            left_behind = os.pidfd_open(int((folder / "p.pid").read_text()))
        except ProcessLookupError:
            return
        assert select.select([left_behind], [], [], 30)[0], "the program's own child still runs"

    def test_one_that_cannot_be_started(self, files: Files) -> None:
        folder = files(p="#!/no/such/interpreter\n")
        with pytest.raises(InputError, match="cannot be run: No such file"):
            load(folder / "p")


def test_numbers_of_json_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n\t"all": {"hosts": {"h": {"a": 1e3, "b": -2.5E-1, "c": "1e3", "d": 12}}}}')
    (tmp_path / "a.yml").write_text("all: {hosts: {h: {a: 1e3}}}")
    assert dict(load(tmp_path / "a.json").hosts["h"].vars) == {"a": 1000.0, "b": -0.25, "c": "1e3", "d": 12}
    assert dict(load(tmp_path / "a.yml").hosts["h"].vars) == {"a": "1e3"}, "as YAML 1.1 and Ansible have it"
