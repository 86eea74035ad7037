"""What is wrong in the files is said with file, line and field, all of it at once, before any host is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORGE = Path(sys.executable).parent / "kubeforge"
HOSTS = """\
all:
  children:
    kube_control_plane:
      hosts:
        cp1: {ansible_host: 192.0.2.11}
    kube_node:
      hosts:
        w1: {ansible_host: 192.0.2.21}
"""


def said(folder: Path, spec: str, hosts: str = HOSTS, verb: str = "apply") -> str:
    """Run a verb on such an inventory; it must be refused as input, with no traceback."""
    (folder / "hosts.yml").write_text(hosts)
    (folder / "cluster.yml").write_text(spec)
    argv = [str(FORGE), verb, *(["--yes"] if verb == "apply" else []), "-i", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr + done.stdout


@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
def test_everything_at_once(tmp_path: Path, verb: str) -> None:
    text = "name: demo\nkubernetes: 1.12.0\nnetwork:\n  podz: 10.1.0.0/16\n  services: 192.0.2.0/24\n"
    message = said(tmp_path, text, verb=verb)
    assert "4 problems" in message, "the overlap is one per host"
    assert "cluster.yml:2: kubernetes: " in message
    assert "supported: 1.35, 1.36, 1.37" in message
    assert "cluster.yml:4: network.podz: " in message
    assert "pods" in message.partition("network.podz")[2].splitlines()[0], "a suggestion"
    assert "hosts.yml:5: cp1: its address 192.0.2.11 lies in network.services 192.0.2.0/24" in message
    assert "192.0.2.11" in message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("name: demo\nkubernetes: 1.36.3\nadons: {}\n", ("cluster.yml:3: adons: ", "addons")),
        (
            "name: demo\nkubernetes: 1.36.3\nnetwork: {pods: 10.96.0.0/16, services: 10.96.0.0/12}\n",
            ("cluster.yml:3: network.", "10.96.0.0/16", "10.96.0.0/12"),
        ),
        ("name: demo\nkubernetes: [1.36.3\n", ("cluster.yml:",)),
        ("name: demo\nkubernetes: 1.36\n", ("cluster.yml:2: kubernetes: ",)),
    ],
    ids=["misspelt", "overlapping", "broken YAML", "no patch version"],
)
def test_one_line_per_problem(tmp_path: Path, spec: str, words: tuple[str, ...]) -> None:
    message = said(tmp_path, spec)
    assert not [word for word in words if word not in message], message
    assert "next: correct this, then: kubeforge validate -i " in message


def test_two_hosts_with_one_address(tmp_path: Path) -> None:
    message = said(tmp_path, "name: demo\nkubernetes: 1.36.3\n", HOSTS.replace("192.0.2.21", "192.0.2.11"))
    assert "hosts.yml:" in message
    assert "192.0.2.11" in message
    assert "cp1" in message
    assert "w1" in message
