"""Ansible's connection variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.secret import Secret
from tests.unit.inventory.conftest import Load


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


@pytest.mark.parametrize("kind", ["winrm", "ansible.netcommon.network_cli", "community.docker.docker"])
def test_hosts_that_are_not_served_load_with_a_warning(inventory: Load, kind: str) -> None:
    """An inventory of a whole company holds Windows and switches, and whoever runs on its Linux hosts needs it."""
    found = inventory(f"all: {{hosts: {{h: {{ansible_connection: {kind}, ansible_become_method: enable}}}}}}")
    assert found.hosts["h"].connection.kind == kind
    assert [str(problem).partition("hosts.yml")[2] for problem in found.warnings] == [
        f":1: ansible_connection: '{kind}' is not served, only ssh and local are: a run that needs this host will fail"
    ]


@pytest.mark.parametrize("argument", ["-p {{ ansible_password }}", "-o '{{ ansible_password }}'", "-p{{ copy }}"])
def test_ssh_arguments_that_hold_a_secret_are_not_quoted(inventory: Load, argument: str) -> None:
    text = "all: {hosts: {h: {ansible_password: hunter2, copy: '{{ ansible_password }}', ansible_ssh_common_args: X}}}"
    try:
        told = str(inventory(text.replace("X", json.dumps(argument))).warnings)
    except InputError as error:
        told = str(error)
    assert "ansible_ssh_common_args" in told
    assert "hunter2" not in told
