"""The example playbooks on hosts of the lab: two web servers and a balancer. In order.

Each is run as its first lines say, and again, with what its reader would bring: a certificate, a balancer, packages.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import wait_until
from tests.e2e.faults.conftest import Forge
from tests.e2e.ha.conftest import made
from tests.e2e.repository import PLACE, offer, supply

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[3] / "playbooks/examples"
WEB, BALANCER = ("w1", "w2"), "w3"
NAME = "www.example.org"
HAPROXY = """
global
    stats socket /run/haproxy/admin.sock level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 10s
    timeout server 10s
    retries 3
    option redispatch
frontend in
    bind :443
    default_backend web
backend web
    default-server check inter 500ms
"""
BALANCES = "systemd-run --unit example-balancer haproxy -W -f /etc/haproxy/example.cfg"
MACHINES = ("kernel.dmesg_restrict", "kernel.kptr_restrict")
"""What harden.yml sets and hosts in namespaces share with the machine: it is put back."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, web.crt, and its key, web.key."""
    folder = tmp_path_factory.mktemp("tls")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "web.key"), "-out", str(folder / "web.crt")]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*argv, *files, *names], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def site(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Three bare hosts with an inventory of their own; there is no cluster anywhere."""
    with made("examples", control_planes=0, workers=3) as ha:
        inventory = tmp_path_factory.mktemp("inventory")
        listed = yaml.safe_load((ha.inventory / "hosts.yml").read_text())["all"]
        hosts = listed["children"]["kube_node"]["hosts"]
        groups = {"web": WEB, "balancers": (BALANCER,)}
        children = {group: {"hosts": {name: hosts[name] for name in names}} for group, names in groups.items()}
        (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {**listed, "children": children}}))
        (inventory / "group_vars").mkdir()
        (inventory / "group_vars" / "web.yml").write_text(yaml.safe_dump({"web_key": (key / "web.key").read_text()}))
        forge: Forge = replace(ha, inventory=inventory)
        supply(forge, "web", WEB, tmp_path_factory.mktemp("apt"), "nginx", "unattended-upgrades")
        machines = {name: ha.sh("w1", f"sysctl -n {name}").strip() for name in MACHINES}
        yield forge
        ha.sh("w2", "; ".join(f"sysctl -w {name}={value}" for name, value in machines.items()))


def book(name: str) -> str:
    return str(EXAMPLES / f"{name}.yml")


def web(key: Path) -> tuple[str, ...]:
    """Return what runs web.yml; a variable of a play is overruled by one of the command line only, as in Ansible."""
    return ("playbook run", book("web"), "-l", "web", "-e", f"web_certificate={key / 'web.crt'}")


def boot(forge: Forge, host: str) -> str:
    """Return when a host was started."""
    return forge.sh(host, "cut -d ' ' -f 22 /proc/1/stat").strip()


def page(forge: Forge, host: str, key: Path) -> str:
    """Return the first page, over TLS, from a server that the certificate is for.

    Raises:
        OSError: there is none.
    """
    trusted = ssl.create_default_context(cafile=str(key / "web.crt"))
    address = forge.lab.host(host).address
    with socket.create_connection((address, 443), 5) as plain, trusted.wrap_socket(plain, server_hostname=NAME) as wire:
        wire.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        told = b"".join(iter(lambda: wire.recv(4096), b"")).decode()
    if not told.startswith("HTTP/1.1 200 "):
        raise OSError(told or "nothing was said")
    return told.partition("\r\n\r\n")[2].strip()


@contextmanager
def visited(forge: Forge, host: str, key: Path) -> Iterator[dict[str, int]]:
    """Ask for the page twenty times a second; yields what was said -> how often."""
    said: dict[str, int] = {}
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            try:
                told = page(forge, host, key)
            except OSError as error:
                told = f"{type(error).__name__}: {error}"
            said[told] = said.get(told, 0) + 1

    visitor = threading.Thread(target=ask)
    visitor.start()
    try:
        yield said
    finally:
        done.set()
        visitor.join()


def test_web_servers_with_tls(site: Forge, key: Path) -> None:
    site.run(*web(key), "--yes").check(0)
    for name in WEB:
        assert page(site, name, key) == f"{NAME} on {name}"
        assert site.sh(name, "stat -c '%a %U' /etc/nginx/tls/web.key").strip() == "600 root"
    site.run(*web(key), "--yes").check(0, "No changes.")


def test_the_key_is_shown_nowhere(site: Forge, key: Path) -> None:
    secret = (key / "web.key").read_text().splitlines()[1]
    site.sh("w1", "echo else >/etc/nginx/tls/web.key")
    told = site.run(*web(key), "--check", "--diff").check(0, "/etc/nginx/tls/web.key")
    site.run(*web(key), "--yes").check(0)
    assert page(site, "w1", key) == f"{NAME} on w1"
    assert secret not in told.text
    kept = [file for file in site.state.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if secret.encode() in file.read_bytes()]


def test_a_group_restarts_behind_its_balancer(site: Forge, key: Path) -> None:
    """Every visitor gets a page; each server is another process afterwards."""
    servers = "".join(f"    server {name} {site.lab.host(name).address}:443\n" for name in WEB)
    site.sh(BALANCER, f"mkdir -p /run/haproxy; cat >/etc/haproxy/example.cfg <<'E'\n{HAPROXY}{servers}E\n{BALANCES}")
    pids = {name: site.sh(name, "systemctl show -P MainPID nginx") for name in WEB}
    with visited(site, BALANCER, key) as said:
        wait_until(lambda: {f"{NAME} on {name}" for name in WEB} <= set(said), why=lambda: str(said))
        said.clear()
        site.run("playbook run", book("rolling-restart"), "--yes").check(0)
        wait_until(lambda: {f"{NAME} on {name}" for name in WEB} <= set(said), why=lambda: str(said))
    print(f"\n{said}")
    assert set(said) == {f"{NAME} on {name}" for name in WEB}
    assert not [name for name in WEB if site.sh(name, "systemctl show -P MainPID nginx") == pids[name]]


def test_patched_and_rebooted_in_batches(site: Forge) -> None:
    for name in WEB:
        offer(site, name, "kf-demo", "1.0")
        site.sh(name, f"dpkg -i {PLACE}/kf-demo_1.0.deb")
        offer(site, name, "kf-demo", "2.0", "touch /var/run/reboot-required")
    began = {name: boot(site, name) for name in WEB}
    site.run("playbook run", book("patch"), "-l", "web", "--yes").check(0)
    for name in WEB:
        assert site.sh(name, "dpkg-query -W -f '${Version}' kf-demo") == "2.0"
        assert boot(site, name) != began[name]
    site.run("playbook run", book("patch"), "-l", "web", "--yes").check(0, "No changes.")


def test_a_host_is_hardened_and_still_entered(site: Forge) -> None:
    """Also the ports it serves go, unless they are named."""
    site.run("playbook run", book("harden"), "-l", "w1", "--yes").check(0)
    site.run("playbook run", book("harden"), "-l", "w1", "--yes").check(0, "No changes.")
    told = site.sh("w1", "sshd -T; nft list ruleset; sysctl net.ipv4.tcp_syncookies; systemctl is-enabled nftables")
    for words in ("passwordauthentication no", "maxauthtries 3", "policy drop", "tcp dport 22 accept", "enabled"):
        assert words in told, told
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((site.lab.host("w1").address, 443), 1)
    site.run("playbook run", book("harden"), "-l", "w1", "--yes", "-e", "{open_ports: [22, 443]}").check(0)
    socket.create_connection((site.lab.host("w1").address, 443), 1).close()
