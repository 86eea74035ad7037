"""The dynamic inventory of Vagrant's machines, on what `vagrant ssh-config` prints with VirtualBox and with libvirt."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from kubeforge.errors import InputError, KubeforgeError
from kubeforge.inventory.vagrant import Access, inventory_data, main, parse_machines, parse_ssh_config

ROOT = Path(__file__).parents[3]
ANSWERS = Path(__file__).parent / "vagrant"
VIRTUALBOX = (ANSWERS / "ssh-config-virtualbox.txt").read_text()
LIBVIRT = (ANSWERS / "ssh-config-libvirt.txt").read_text()
TABLE = """
defaults: {box: debian, cpus: 2, memory: 2048}
machines:
  cp1: {address: 192.168.56.11, groups: [kube_control_plane]}
  w1: {address: 192.168.56.21, groups: [kube_node, web], vars: {rack: a}}
  w2:
"""
KNOWN = Path("/home/u/my lab/known_hosts")


def test_forwarded_ports_of_virtualbox() -> None:
    found = parse_ssh_config(VIRTUALBOX)
    assert list(found) == ["cp1", "w1", "w2"]
    key = "/home/u/my lab/.vagrant/machines/cp1/virtualbox/private_key"  # Vagrant quotes it
    assert found["cp1"] == Access(address="127.0.0.1", port=2222, user="vagrant", key=key)
    assert [access.port for access in found.values()] == [2222, 2200, 2201]


def test_addresses_of_libvirt_and_the_first_of_two_keys() -> None:
    found = parse_ssh_config(LIBVIRT)
    assert found["w1"].address == "192.168.121.94"
    assert found["w1"].port == 22
    assert found["w1"].key == "/home/u/lab/.vagrant/machines/w1/libvirt/private_key"


def test_an_apostrophe_in_the_path_of_a_key() -> None:
    found = parse_ssh_config("Host cp1\n  HostName h\n  IdentityFile /home/o'brien/key\n  IdentityFile /other\n")
    assert found["cp1"].key == "/home/o'brien/key"


def test_what_vagrant_does_not_print() -> None:
    assert parse_ssh_config("") == {}
    with pytest.raises(KubeforgeError, match="names no HostName"):
        parse_ssh_config("Host cp1\n  User vagrant\n")


def test_groups_and_variables() -> None:
    data = inventory_data(parse_machines(TABLE), parse_ssh_config(VIRTUALBOX), known_hosts=KNOWN)
    variables = data.pop("_meta")["hostvars"]
    assert data == {
        "kube_control_plane": {"hosts": ["cp1"]},
        "kube_node": {"hosts": ["w1"]},
        "web": {"hosts": ["w1"]},
        "ungrouped": {"hosts": ["w2"]},
    }
    assert variables["w1"] == {
        "ansible_host": "127.0.0.1",
        "ansible_port": 2200,
        "ansible_user": "vagrant",
        "ansible_become": True,
        "ansible_ssh_private_key_file": "/home/u/my lab/.vagrant/machines/w1/virtualbox/private_key",
        "ansible_ssh_common_args": "-o 'UserKnownHostsFile=/home/u/my lab/known_hosts'",
        "ip": "192.168.56.21",
        "rack": "a",
    }
    assert "ip" not in variables["w2"]


def test_other_machines_than_the_table() -> None:
    table = parse_machines("machines: {cp1: {}, db: {}}")
    with pytest.raises(KubeforgeError) as told:
        inventory_data(table, parse_ssh_config(VIRTUALBOX), known_hosts=KNOWN)
    assert told.value.evidence == ("db is not Vagrant's", "w1 is not in the table", "w2 is not in the table")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machines: {", "not YAML"),
        ("machines: {}", "at least one machine"),
        ("[]", "at least one machine"),
        ("machines: {a: {adress: 1}}", "machines.a: unknown: adress"),
        ("machines: {a: 3}", "machines.a: expected a row"),
        ("machines: {a: {groups: web}}", "machines.a: groups must be a list"),
        ("machines: {a: {vars: web}}", "machines.a: vars must be names"),
        ("defaults: {ram: 1}\nmachines: {a: {}}", "machines.defaults: unknown: ram"),
    ],
)
def test_bad_tables(text: str, message: str) -> None:
    with pytest.raises(InputError) as told:
        parse_machines(text)
    assert message in str(told.value)


def test_all_problems_of_a_table_at_once() -> None:
    with pytest.raises(InputError) as told:
        parse_machines("machines: {a: {ram: 1}, b: {groups: 1}}")
    assert len(told.value.problems) == 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table, and a `vagrant` that answers as with VirtualBox."""
    (tmp_path / "machines.yml").write_text(TABLE)
    program = tmp_path / "vagrant"
    program.write_text(f'#!/bin/sh\n[ "$*" = ssh-config ] && exec /bin/cat {ANSWERS}/ssh-config-virtualbox.txt\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_it_answers_as_a_dynamic_inventory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machines = ["--machines", str(folder / "machines.yml")]
    assert main([*machines, "--list"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert main([*machines, "--host", "cp1"]) == 0
    assert json.loads(capsys.readouterr().out) == listed["_meta"]["hostvars"]["cp1"]
    assert str(folder / "known_hosts") in listed["_meta"]["hostvars"]["cp1"]["ansible_ssh_common_args"]


def test_machines_that_do_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "vagrant").write_text("#!/bin/sh\necho 'not yet ready for SSH' >&2\nexit 1\n")
    assert main(["--machines", str(folder / "machines.yml"), "--list"]) == 1
    told = capsys.readouterr().err
    assert "vagrant ssh-config: it ended with 1" in told
    assert "not yet ready for SSH" in told
    assert "next: vagrant up" in told


def test_no_vagrant_and_no_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "vagrant").unlink()
    assert main(["--machines", str(folder / "machines.yml"), "--list"]) == 1
    assert "there is no vagrant" in capsys.readouterr().err
    assert main(["--machines", str(folder / "other.yml"), "--list"]) == 10
    assert "No such file" in capsys.readouterr().err


def test_vagrantfile_and_table_agree() -> None:
    vagrantfile, table = (ROOT / "Vagrantfile").read_text(), ROOT / "inventory/vagrant/machines.yml"
    assert "provision" not in vagrantfile, "what a host becomes is a playbook's business"
    boxes = set(re.findall(r'^  "(\w+)" => "[\w-]+/[\w.-]+",$', vagrantfile, re.MULTILINE))
    assert boxes == {"debian", "ubuntu", "rocky"}
    data = yaml.safe_load(table.read_text())
    assert {row.get("box", data["defaults"]["box"]) for row in data["machines"].values()} == boxes
    machines = parse_machines(table.read_text())
    assert machines[0].groups == ("kube_control_plane",)
    pods = ip_network(yaml.safe_load((table.parent / "cluster.yml").read_text())["network"]["pods"])
    addresses = [ip_address(machine.address or "") for machine in machines]
    assert len(set(addresses)) == len(machines)
    assert not [address for address in addresses if address in pods]


def test_program_says_what_is_missing(tmp_path: Path) -> None:
    """The script beside the table, on a machine without Vagrant."""
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "KUBEFORGE_PYTHON": sys.executable}
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    program = ROOT / "inventory/vagrant/hosts"
    done = subprocess.run([program, "--list"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "vagrant ssh-config: there is no vagrant\n  next: install vagrant" in done.stderr
