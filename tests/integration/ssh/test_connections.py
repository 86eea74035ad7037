"""Jump hosts, and connections that are shared, kept and closed, on a real sshd."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.errors import AuthenticationFailed, ConnectionFailed, HostKeyRefused
from kubeforge.inventory.model import Connection, Host
from kubeforge.transport.connect import Connections, connect
from kubeforge.transport.ssh import SshTransport
from kubeforge.transport.ssh_access import SshAccess

Sshd = Any  # the classes of conftest.py, which cannot be imported
Client = Any
StartSshd = Callable[..., Any]


class TestJumps:
    def test_through_one(self, start_sshd: StartSshd, client: Client) -> None:
        bastion, inner = start_sshd(), start_sshd()
        transport = client.open(inner, proxy_jump=f"127.0.0.1:{bastion.port}")
        assert transport.run("echo $SSH_CONNECTION", deadline=5).stdout.split()[-1] == str(inner.port).encode()
        assert "Accepted" in bastion.log.read_text()

    def test_through_two(self, start_sshd: StartSshd, client: Client) -> None:
        first, second, inner = start_sshd(), start_sshd(), start_sshd()
        jump = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        assert client.open(inner, proxy_jump=jump).run("true", deadline=5).status == 0
        assert "Accepted" in first.log.read_text()
        assert "Accepted" in second.log.read_text()

    def test_the_jump_host_is_entered_once(self, start_sshd: StartSshd, client: Client) -> None:
        bastion, inner = start_sshd(), start_sshd()
        hosts = [client.host(inner, proxy_jump=f"127.0.0.1:{bastion.port}") for _ in range(4)]
        threads = [threading.Thread(target=client.access.open, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert bastion.log.read_text().count("Accepted") == 1
        assert inner.log.read_text().count("Accepted") == 4

    def test_its_key_is_checked_too(self, start_sshd: StartSshd, client: Client) -> None:
        bastion, inner = start_sshd(trusted=False), start_sshd()
        with pytest.raises(HostKeyRefused) as caught:
            client.open(inner, proxy_jump=f"127.0.0.1:{bastion.port}")
        assert caught.value.host == f"127.0.0.1:{bastion.port}"

    def test_the_host_behind_is_down(self, start_sshd: StartSshd, client: Client, free_port: int) -> None:
        bastion = start_sshd()
        host = client.host(bastion, port=free_port, proxy_jump=f"127.0.0.1:{bastion.port}")
        with pytest.raises(ConnectionFailed, match=r"jump host 127\.0\.0\.1:.* cannot connect"):
            client.access.open(host)

    @pytest.fixture
    def behind_a_broken_jump(
        self, start_sshd: StartSshd, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[SshTransport, Sshd]:
        """A host behind a jump host that nothing reaches any more, while what it says still arrives."""

        def broken(data: bytes, flags: int = 0) -> int:
            raise BrokenPipeError

        bastion, inner = start_sshd(), start_sshd()
        transport = client.open(inner, proxy_jump=f"127.0.0.1:{bastion.port}")
        (jump,) = client.access._jumps.values()
        monkeypatch.setattr(jump.sock, "send", broken)
        return transport, inner

    def test_the_jump_breaks_while_the_host_hangs_up(
        self, behind_a_broken_jump: tuple[SshTransport, Sshd], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Closing the jump's channel is a message, sent by a thread of paramiko's where nobody can catch its error."""
        raised: list[BaseException | None] = []
        monkeypatch.setattr(threading, "excepthook", lambda arguments: raised.append(arguments.exc_value))
        transport, inner = behind_a_broken_jump
        inner.signal_sessions(signal.SIGKILL)
        transport.session.join(10)
        assert not transport.session.is_alive()
        assert not transport.alive
        assert raised == []

    def test_closing_behind_a_broken_jump(self, behind_a_broken_jump: tuple[SshTransport, Sshd]) -> None:
        transport, _ = behind_a_broken_jump
        transport.close()
        assert not transport.alive

    def test_a_circle(self, sshd: Sshd, client: Client) -> None:
        (client.home / ".ssh" / "config").write_text("Host *\n ProxyJump 127.0.0.1\n")
        with pytest.raises(ConnectionFailed, match="in a circle"):
            SshAccess(home=client.home).open(client.host(sshd))


class TestConnections:
    def test_one_per_host_for_all_threads(self, sshd: Sshd, client: Client) -> None:
        with Connections(access=client.access) as connections:
            found: list[Any] = []
            host = client.host(sshd)
            threads = [threading.Thread(target=lambda: found.append(connections.get(host))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert len(set(map(id, found))) == 1
            assert sshd.log.read_text().count("Accepted") == 1
        assert not found[0].alive

    def test_a_failure_is_not_kept(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd()
        key = server.authorized.read_text()
        server.authorized.write_text("")
        with Connections(access=client.access) as connections:
            with pytest.raises(AuthenticationFailed):
                connections.get(client.host(server))
            server.authorized.write_text(key)
            assert connections.get(client.host(server)).run("true", deadline=5).status == 0

    def test_dropped_is_opened_anew(self, sshd: Sshd, client: Client) -> None:
        with Connections(access=client.access) as connections:
            first = connections.get(client.host(sshd))
            connections.drop("node")
            second = connections.get(client.host(sshd))
            assert second is not first
            assert second.run("true", deadline=5).status == 0

    def test_local(self) -> None:
        host = Host(name="here", connection=Connection(address="here", kind="local"))
        assert connect(host).run("echo local", deadline=5).stdout == b"local\n"
