from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from kubeforge.cli import root
from kubeforge.cli.boundary import guarded

HOSTS = "all:\n  children:\n    kube_control_plane: {hosts: {cp1: {ansible_host: 192.0.2.1}}}\n"
CLUSTER = "name: demo\nkubernetes: 1.36.3\n"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab, no variables of the caller, and a folder of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBEFORGE_LABS", str(tmp_path / "labs"))
    monkeypatch.delenv("KUBEFORGE_INVENTORY", raising=False)


def write(folder: Path, hosts: str = HOSTS, cluster: str = CLUSTER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_text(hosts)
    (folder / "cluster.yml").write_text(cluster)
    return folder


def run(arguments: Sequence[str]) -> int:
    return guarded(root, arguments, "kubeforge")


def test_valid(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path / "a")
    assert run(["validate", "-i", "a"]) == 0
    assert capsys.readouterr().out == (
        "a: valid; cluster demo, Kubernetes 1.36.3, control planes: 1, workers: 0\n"
    )  # fmt: skip


@pytest.mark.parametrize("folder", [".", "inventory"])
def test_default_inventory(tmp_path: Path, capsys: Captured, folder: str) -> None:
    write(tmp_path / folder)
    assert run(["validate"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: valid")


def test_inventory_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    write(tmp_path)
    monkeypatch.setenv("KUBEFORGE_INVENTORY", str(write(tmp_path / "other")))
    assert run(["validate"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path}/other: valid")


def test_no_inventory(capsys: Captured) -> None:
    assert run(["validate"]) == 10
    said = capsys.readouterr().err
    assert "no inventory: no hosts.yml here nor in ./inventory, and not exactly one lab is up" in said
    assert "next: name its folder with -i, or make hosts to try with: kubeforge lab up" in said


def test_problems_of_both_files_at_once(tmp_path: Path, capsys: Captured) -> None:
    wrong = "netwrok: {}\nnetwork: {proxy: ipvs}\npki: {days: 20, ca_days: 10}\n"
    write(tmp_path, HOSTS.replace("ansible_host", "ansible_hots"), CLUSTER + wrong)
    assert run(["validate"]) == 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 4 problems in the input"
    assert [line.split()[0] for line in lines[1:5]] == ["hosts.yml:3:", *(f"cluster.yml:{n}:" for n in (3, 4, 5))]


def test_warnings_do_not_refuse(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, cluster="name: demo\nkubernetes: 1.36.99\n")
    assert run(["validate"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: cluster.yml:2: kubernetes: 1.36.99 is newer than")
    assert captured.out.endswith("; 1 warning above\n")


LAX = HOSTS.replace("all:\n", "all:\n  vars: {ansible_ssh_common_args: -o StrictHostKeyChecking=no}\n")


def test_warnings_about_the_inventory_too(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LAX, "name: demo\nkubernetes: 1.36.99\n")
    assert run(["validate"]) == 0
    captured = capsys.readouterr()
    assert [line.split(": ")[:3] for line in captured.err.splitlines()] == [
        ["warning", "hosts.yml:2", "ansible_ssh_common_args"],
        ["warning", "cluster.yml:2", "kubernetes"],
    ]
    assert captured.out.endswith("; 2 warnings above\n")
    assert run(["validate", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["valid"]
    assert [(problem["field"], problem["warning"]) for problem in data["problems"]] == [
        ("ansible_ssh_common_args", True),
        ("kubernetes", True),
    ]


def test_warnings_are_shown_where_the_inventory_is_wrong(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LAX.replace("ansible_host", "ansible_hots"))
    assert run(["validate"]) == 10
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("warning: hosts.yml:2: ansible_ssh_common_args: StrictHostKeyChecking=no")
    assert said[1] == "error: 1 problem in the input"


@pytest.mark.parametrize("verb", [["plan"], ["apply", "--yes"]])
def test_a_run_warns_once(tmp_path: Path, capsys: Captured, verb: list[str]) -> None:
    """On stderr for people; in the plan for programs."""
    write(tmp_path, LAX.replace("192.0.2.1", "127.0.0.1, ansible_port: 1"))  # nothing listens there
    assert run(verb) == 11
    assert capsys.readouterr().err.count("warning: ") == 1
    assert run([*verb, "-o", "json"]) == 11
    captured = capsys.readouterr()
    assert "warning: " not in captured.err
    (warning,) = json.loads(captured.out)["warnings"]
    assert (warning["file"], warning["line"], warning["field"]) == ("hosts.yml", 2, "ansible_ssh_common_args")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_as_data(tmp_path: Path, capsys: Captured, form: str) -> None:
    write(tmp_path, cluster=CLUSTER + "netwrok: {}\n")
    assert run(["validate", "-o", form]) == 10
    said = capsys.readouterr().out
    data = json.loads(said) if form == "json" else yaml.safe_load(said)
    assert data == {
        "valid": False,
        "problems": [
            {
                "message": "unknown field; did you mean `network`?",
                "file": "cluster.yml",
                "line": 3,
                "field": "netwrok",
                "warning": False,
            }
        ],
    }


def test_variables_of_the_command_line_reach_the_inventory(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, HOSTS.replace("192.0.2.1", "'{{ where }}'"))
    assert run(["validate", "-e", "where=192.0.2.9"]) == 0
