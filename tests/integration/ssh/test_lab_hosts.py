"""What needs users, PAM, a real sudo or a host that vanishes: a host of the lab."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import AuthenticationFailed, BecomeFailed, ConnectionFailed, ConnectionLost
from kubeforge.inventory.loader import load
from kubeforge.lab.host import Host as LabHost
from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains, remove
from kubeforge.transport.connect import connect
from kubeforge.transport.ssh import SshTransport

pytestmark = pytest.mark.lab
PASSWORD = "lab"  # of opspw, made by the lab's recipe
Enter = Callable[..., SshTransport]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    folder: Path = tmp_path_factory.mktemp("labs").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEFORGE_LABS", str(folder))
        with Lab.up("sshit", control_planes=1, workers=0) as made:
            yield made
        for name in remains():
            remove(name)


@pytest.fixture
def enter(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Enter]:
    """Return `enter(**variables)`: a transport to the host."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    opened: list[SshTransport] = []

    def open_with(**variables: Any) -> SshTransport:
        transport = connect(load(lab.inventory, extra_vars=variables).hosts["cp1"])
        assert isinstance(transport, SshTransport)
        opened.append(transport)
        return transport

    yield open_with
    for transport in opened:
        transport.close()


class TestRealSudo:
    def test_without_password(self, enter: Enter) -> None:
        done = enter(ansible_user="ops", ansible_become=True).run("id -un; cat; echo $HOME", [b"in\n"], deadline=20)
        assert done.stdout == b"root\nin\n/root\n"

    def test_another_user(self, enter: Enter) -> None:
        transport = enter(ansible_user="ops", ansible_become=True, ansible_become_user="opspw")
        assert transport.run("id -un", deadline=20).stdout == b"opspw\n"

    def test_with_password(self, enter: Enter) -> None:
        transport = enter(ansible_user="opspw", ansible_become=True, ansible_become_password=PASSWORD)
        for _ in range(2):  # the second time sudo may remember, and must not take the password for input
            done = transport.run("id -un; wc -c", [bytes(3 << 20)], deadline=20)
            assert done.stdout.split() == [b"root", b"3145728"]
        transport.run("true", deadline=20)

    def test_a_remembered_password_is_no_input(self, enter: Enter) -> None:
        """sudo without a terminal remembers per parent process; `timestamp_type=global` makes it remember for all."""
        root = enter(ansible_user="root")
        root.run("echo 'Defaults timestamp_type=global' >/etc/sudoers.d/remember", deadline=20)
        try:
            for _ in range(3):
                transport = enter(ansible_user="opspw", ansible_become=True, ansible_become_password=PASSWORD)
                assert transport.run("cat", [b"mine\n"], deadline=20).stdout == b"mine\n"
            transport = enter(ansible_user="opspw", ansible_become=True)
            assert transport.run("cat", [b"mine\n"], deadline=20).stdout == b"mine\n"
        finally:
            root.run("rm /etc/sudoers.d/remember; rm -rf /run/sudo/ts/opspw", deadline=20)

    def test_password_wanted(self, enter: Enter) -> None:
        with pytest.raises(BecomeFailed) as caught:
            enter(ansible_user="opspw", ansible_become=True).run("true", deadline=20)
        assert caught.value.evidence == ("sudo: a password is required",)
        assert "ansible_become_password" in str(caught.value.remedy)

    def test_wrong_password(self, enter: Enter) -> None:
        begin = time.monotonic()
        with pytest.raises(BecomeFailed, match="refuses the password") as caught:
            enter(ansible_user="opspw", ansible_become=True, ansible_become_password="falsch").run("true", deadline=20)
        assert time.monotonic() - begin < 10
        assert "falsch" not in str(caught.value)

    def test_not_in_sudoers(self, enter: Enter) -> None:
        root = enter(ansible_user="root")
        root.run("sed -i 's/^opspw/#opspw/' /etc/sudoers.d/lab", deadline=20)
        try:
            transport = enter(ansible_user="opspw", ansible_become=True, ansible_become_password=PASSWORD)
            with pytest.raises(BecomeFailed) as caught:
                transport.run("true", deadline=20)
            assert "not in the sudoers file" in " ".join(caught.value.evidence) or "not allowed" in str(caught.value)
        finally:
            root.run("sed -i 's/^#opspw/opspw/' /etc/sudoers.d/lab", deadline=20)

    def test_a_signal_comes_through_sudo(self, enter: Enter) -> None:
        transport = enter(ansible_user="ops", ansible_become=True)
        assert transport.run("kill -TERM $$", deadline=20).status == 143

    def test_nothing_of_the_password_is_in_the_journal(self, enter: Enter) -> None:
        secret = "un-mistakable"
        root = enter(ansible_user="root")
        root.run(f"echo 'opspw:{secret}' | chpasswd", deadline=20)
        try:
            transport = enter(ansible_user="opspw", ansible_become=True, ansible_become_password=secret)
            assert transport.run("id -un", deadline=20).stdout == b"root\n"
            seen = root.run("journalctl --no-pager; cat /proc/[0-9]*/cmdline", deadline=30).stdout
            assert b"kubeforge-begun" in seen  # sudo logs its command
            assert secret.encode() not in seen
        finally:
            root.run(f"echo 'opspw:{PASSWORD}' | chpasswd", deadline=20)


class TestRealLogin:
    def test_by_password(self, enter: Enter) -> None:
        transport = enter(ansible_user="opspw", ansible_password=PASSWORD, ansible_ssh_private_key_file=None)
        assert transport.run("id -un", deadline=20).stdout == b"opspw\n"

    def test_wrong_password(self, enter: Enter) -> None:
        with pytest.raises(AuthenticationFailed) as caught:
            enter(ansible_user="opspw", ansible_password="falsch", ansible_ssh_private_key_file=None)
        assert "password" in caught.value.cause


@contextlib.contextmanager
def once_begun(host: LabHost, act: Callable[[], None]) -> Iterator[str]:
    """Act once a command has begun: it must say so by what this yields."""
    begun, over = "/run/begun", threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if host.run(("test", "-e", begun), check=False).returncode == 0:
                act()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield f"touch {begun}"
    finally:
        over.set()
        watcher.join()


class TestVanishing:
    def test_the_network_is_cut_while_a_command_runs(
        self, lab: Lab, enter: Enter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No RST, no FIN: only silence. Shortened from 15 s of silence and 15 s of waiting for an answer."""
        monkeypatch.setattr("kubeforge.transport.ssh_exec._SILENCE", 2.0)
        monkeypatch.setattr("kubeforge.transport.ssh_exec._PATIENCE", 2.0)
        transport = enter(ansible_user="root")
        host = lab.host("cp1")
        try:
            begin = time.monotonic()
            with once_begun(host, host.partition) as mark, pytest.raises(ConnectionLost):
                transport.run(f"{mark}; sleep 100", deadline=100)
            assert time.monotonic() - begin < 30
            with pytest.raises(ConnectionFailed, match="no answer"):
                enter(ansible_user="root", ansible_timeout=1)
        finally:
            host.heal()
            host.run(("rm", "-f", "/run/begun"))
        assert enter(ansible_user="root").run("true", deadline=20).status == 0

    def test_killed_while_input_flows(self, lab: Lab, enter: Enter) -> None:
        transport = enter(ansible_user="root")
        host = lab.host("cp1")
        try:
            begin = time.monotonic()
            with once_begun(host, host.kill) as mark, pytest.raises(ConnectionLost):
                transport.run(f"{mark}; sleep 100", iter(lambda: bytes(1 << 18), b""), deadline=100)
            assert time.monotonic() - begin < 60  # TCP_USER_TIMEOUT is 30 s
        finally:
            host.start()
