"""`kubeconfig` and `kubectl` over real SSH. The API is played by a line of text on its port, kubectl by a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kubeforge.spec.paths import ADMIN_CONF, API_PORT
from kubeforge.transport.remote import ShellRemote
from tests.waiting import listening

pytestmark = pytest.mark.lab

# says what the tunnel's other end says, then what it was asked to do
KUBECTL = """#!/bin/bash
[ "$1 $2" = "version --client" ] && exec echo '{"clientVersion": {"gitVersion": "v1.36.3"}}'
port=$(sed -n 's#.*server: https://127.0.0.1:##p' "$KUBECONFIG")
grep tls-server-name "$KUBECONFIG"
exec 3<>/dev/tcp/127.0.0.1/$port
cat <&3
echo "$@"
exit 3
"""


def kubeforge(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command; the lab of this module is the only one, so it is the default inventory."""
    search = f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]
    return subprocess.run(
        [sys.executable, "-c", "from kubeforge.cli import main; main()", *arguments],
        env={**os.environ, "PATH": search},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def serving(founded: ShellRemote) -> ShellRemote:
    plane = founded
    listen = f"TCP-LISTEN:{API_PORT},fork,reuseaddr"
    running = plane.run(["systemctl", "is-active", "--quiet", "played-api"], expect=(0, 3, 4)).status == 0
    if not running:
        plane.run(["systemd-run", "--unit=played-api", "socat", listen, "SYSTEM:echo hello from the API"])
        plane.run(["sh", "-c", listening(API_PORT)])
    return plane


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return program


def test_before_there_is_a_cluster(plane: ShellRemote, kubectl: Path) -> None:
    plane.run(["rm", "-f", ADMIN_CONF])
    for verb in ("kubeconfig", "kubectl"):
        done = kubeforge(verb, path=kubectl.parent)
        assert done.returncode == 16, done.stderr
        assert f"cp1: has no {ADMIN_CONF}" in done.stderr
        assert "next: kubeforge apply founds the cluster" in done.stderr


@pytest.mark.parametrize("user", ["root", "ops"])
def test_kubeconfig(serving: ShellRemote, user: str) -> None:
    become = str(user != "root").lower()
    done = kubeforge("kubeconfig", "-e", f"ansible_user={user}", "-e", f"ansible_become={become}")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["current-context"] == "cli-it"
    assert config["clusters"][0]["cluster"]["server"].startswith("https://10.77.")
    assert config["users"][0]["user"]["client-key-data"] == "a2V5"


def test_kubeconfig_into_a_file(serving: ShellRemote, tmp_path: Path) -> None:
    target = tmp_path / "kube" / "config"
    done = kubeforge("kubeconfig", "--output", str(target))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == f"{target}: context cli-it added, and current\n"
    assert target.stat().st_mode & 0o777 == 0o600


def test_kubectl_through_the_tunnel(serving: ShellRemote, kubectl: Path) -> None:
    folder = kubectl.parent
    done = kubeforge("kubectl", "--", "get", "pods", "-i", "a b", path=folder)
    assert done.returncode == 3, done.stderr
    assert done.stdout == "    tls-server-name: kubernetes\nhello from the API\nget pods -i a b\n"
    assert kubeforge("kubectl", "exec", "-it", "x", "--", "sh", path=folder).stdout.endswith("exec -it x -- sh\n")
