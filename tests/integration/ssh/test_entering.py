"""Who is let in, by whom: host keys, logins, and every way a host cannot be reached."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL
from paramiko.server import InteractiveQuery

from kubeforge.errors import AuthenticationFailed, ConnectionFailed, HostKeyRefused
from kubeforge.inventory.model import Connection, Host
from kubeforge.secret import Secret
from kubeforge.transport.connect import connect
from kubeforge.transport.ssh_access import SshAccess

Sshd = Any  # the classes of conftest.py, which cannot be imported
Client = Any
StartSshd = Callable[..., Any]


class TestHostKeys:
    def test_known(self, sshd: Sshd, client: Client) -> None:
        assert client.open(sshd).run("echo in", deadline=5).stdout == b"in\n"

    def test_unknown(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd(trusted=False)
        with pytest.raises(HostKeyRefused) as caught:
            client.open(server)
        listed = subprocess.run(["ssh-keygen", "-lf", server.host_key], capture_output=True, check=True, text=True)
        assert listed.stdout.split()[1] in caught.value.cause
        assert "Accepted" not in server.log.read_text()

    def test_the_advice_leads_in(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd(trusted=False)
        with pytest.raises(HostKeyRefused) as caught:
            client.open(server)
        advice = re.search(r"ssh-keyscan .*", str(caught.value.remedy))
        assert advice is not None
        subprocess.run(["sh", "-c", advice[0]], check=True, capture_output=True)
        fresh = SshAccess(home=client.home)  # a new run: each reads the files once
        assert fresh.open(client.host(server)).run("true", deadline=5).status == 0

    def test_changed(self, sshd: Sshd, client: Client, make_key: Any, tmp_path: Path) -> None:
        other = make_key(tmp_path / "other").with_name("other.pub").read_text().split()[1]
        client.known.write_text("# one line above\n" + re.sub(r"AAAA\S+", other, sshd.known_line()))
        with pytest.raises(HostKeyRefused, match="is not the known one") as caught:
            client.open(sshd)
        assert f"{client.known}:2" in caught.value.cause
        assert "Accepted" not in sshd.log.read_text()

    def test_hashed(self, sshd: Sshd, client: Client) -> None:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", client.known], check=True, capture_output=True)
        assert "127.0.0.1" not in client.known.read_text()
        assert client.open(sshd).alive

    def test_the_known_one_of_several_types_is_asked_for(
        self, start_sshd: StartSshd, client: Client, make_key: Any, tmp_path: Path
    ) -> None:
        rsa = make_key(tmp_path / "rsa", kind="rsa")
        server = start_sshd(f"HostKey {rsa}", trusted=False)
        public = rsa.with_name("rsa.pub").read_text().split()[1]
        client.known.write_text(f"[127.0.0.1]:{server.port} ssh-rsa {public}\n")
        assert client.open(server).alive

    def test_a_known_type_that_the_host_no_longer_has(
        self, sshd: Sshd, client: Client, make_key: Any, tmp_path: Path
    ) -> None:
        public = make_key(tmp_path / "rsa", kind="rsa").with_name("rsa.pub").read_text().split()[1]
        client.known.write_text(f"[127.0.0.1]:{sshd.port} ssh-rsa {public}\n")
        with pytest.raises(HostKeyRefused, match="known is its ssh-rsa key"):
            client.open(sshd)


class TestLogin:
    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_kinds_of_keys(self, sshd: Sshd, client: Client, make_key: Any, tmp_path: Path, kind: str) -> None:
        key = make_key(tmp_path / kind, kind=kind)
        sshd.authorize(key)
        assert client.open(sshd, key_file=key).alive

    def test_a_key_that_is_not_accepted(self, sshd: Sshd, client: Client, make_key: Any, tmp_path: Path) -> None:
        with pytest.raises(AuthenticationFailed, match="it accepts: publickey") as caught:
            client.open(sshd, key_file=make_key(tmp_path / "other"))
        assert "offered: key" in caught.value.evidence[0]
        assert "ssh-copy-id" in str(caught.value.remedy)

    def test_wrong_user(self, sshd: Sshd, client: Client) -> None:
        with pytest.raises(AuthenticationFailed, match="does not let nosuchuser in"):
            client.open(sshd, user="nosuchuser")

    def test_nothing_to_offer(self, sshd: Sshd, client: Client) -> None:
        with pytest.raises(AuthenticationFailed, match="nothing to log in with"):
            client.open(sshd, key_file=None)

    def test_key_file_missing(self, sshd: Sshd, client: Client) -> None:
        with pytest.raises(AuthenticationFailed, match="cannot be read: No such file"):
            client.open(sshd, key_file=client.home / "no")

    def test_the_public_half_is_no_key(self, sshd: Sshd, client: Client) -> None:
        with pytest.raises(AuthenticationFailed, match="is not a private key"):
            client.open(sshd, key_file=client.key.with_name("id.pub"))

    def test_the_usual_files(self, sshd: Sshd, client: Client) -> None:
        (client.home / ".ssh" / "id_ed25519").write_bytes(client.key.read_bytes())
        assert client.open(sshd, key_file=None).alive

    def test_ssh_config(self, sshd: Sshd, client: Client) -> None:
        (client.home / ".ssh" / "config").write_text(
            f"Host alias\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {client.key}\n"
            f" UserKnownHostsFile {client.known}\n"
        )
        assert connect(Host(name="n", connection=Connection(address="alias"))).run("true", deadline=5).status == 0

    def test_encrypted_key(self, sshd: Sshd, client: Client, make_key: Any, tmp_path: Path) -> None:
        key = make_key(tmp_path / "locked", passphrase="open sesame")
        sshd.authorize(key)
        asked: list[Path] = []

        def ask(path: Path) -> Secret:
            asked.append(path)
            return Secret("open sesame")

        access = SshAccess(home=client.home, ask_passphrase=ask)
        for _ in range(2):
            assert access.open(client.host(sshd, key_file=key)).alive
        assert asked == [key]

    @pytest.mark.parametrize(
        ("given", "message"), [(None, "no passphrase was given"), ("wrong", "passphrase does not open")]
    )
    def test_encrypted_key_not_opened(
        self, sshd: Sshd, client: Client, make_key: Any, given: str | None, message: str
    ) -> None:
        key = make_key(client.home / "locked", passphrase="open sesame")
        access = SshAccess(home=client.home, ask_passphrase=lambda _: Secret(given) if given else None)
        with pytest.raises(AuthenticationFailed, match=message) as caught:
            access.open(client.host(sshd, key_file=key))
        assert "ssh-add" in str(caught.value.remedy)

    @pytest.mark.parametrize("kind", ["ed25519", "rsa"])
    def test_encrypted_pem(self, sshd: Sshd, client: Client, tmp_path: Path, kind: str) -> None:
        key = tmp_path / "pem"
        command = ["ssh-keygen", "-q", "-t", kind, "-m", "PEM", "-N", "open sesame", "-f", str(key)]
        subprocess.run(command, check=True)
        sshd.authorize(key)
        access = SshAccess(home=client.home, ask_passphrase=lambda _: Secret("open sesame"))
        assert access.open(client.host(sshd, key_file=key)).alive

    def test_agent(self, sshd: Sshd, client: Client, agent: Callable[[Path], None]) -> None:
        agent(client.key)
        assert client.open(sshd, key_file=None).alive

    def test_the_agent_signs_for_an_encrypted_file(
        self, sshd: Sshd, client: Client, agent: Callable[[Path], None], make_key: Any, tmp_path: Path
    ) -> None:
        key = make_key(tmp_path / "plain")
        sshd.authorize(key)
        agent(key)
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(key)], check=True)
        assert client.open(sshd, key_file=key).alive  # nobody is there to ask

    def test_identities_only(
        self, start_sshd: StartSshd, client: Client, agent: Callable[[Path], None], make_key: Any, tmp_path: Path
    ) -> None:
        server = start_sshd("MaxAuthTries 2")
        for number in range(4):
            agent(make_key(tmp_path / f"k{number}"))
        agent(client.key)
        config = client.home / ".ssh" / "config"
        config.write_text(f"Host *\n IdentityFile {client.key}\n")
        assert SshAccess(home=client.home).open(client.host(server, key_file=None)).alive  # the named one first
        config.write_text("")
        with pytest.raises(AuthenticationFailed, match=r"hung up|does not let"):
            SshAccess(home=client.home).open(client.host(server, key_file=None))

    def test_password_refused(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd("PasswordAuthentication yes")
        with pytest.raises(AuthenticationFailed, match="password") as caught:
            client.open(server, key_file=None, password=Secret("falsch"))
        assert "falsch" not in str(caught.value)

    @pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
    def test_password_accepted(self, client: Client, password_server: Callable[[str], Host], method: str) -> None:
        host = password_server(method)
        transport = client.access.open(host)
        assert transport.alive
        transport.close()


class _PasswordServer(paramiko.ServerInterface):
    """Takes one password, by one method."""

    def __init__(self, method: str) -> None:
        self._method = method

    def get_allowed_auths(self, username: str) -> str:
        return self._method

    def check_auth_password(self, username: str, password: str) -> int:
        good = self._method == "password" and password == "geheim"
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        return InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        good = responses == ["geheim"]
        return AUTH_SUCCESSFUL if good else AUTH_FAILED


@pytest.fixture
def password_server(client: Client, make_key: Any, tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """A server of paramiko's, for logins by password: sshd would need a user made for it."""
    key = paramiko.PKey.from_path(make_key(tmp_path / "server"))
    listener = socket.create_server(("127.0.0.1", 0))
    sessions: list[paramiko.Transport] = []

    def start(method: str) -> Host:
        def serve() -> None:
            sessions.append(paramiko.Transport(listener.accept()[0]))
            sessions[0].add_server_key(key)
            # with an event it does not raise here where the client has hung up before all was agreed on
            sessions[0].start_server(event=threading.Event(), server=_PasswordServer(method))

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        client.known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        connection = Connection(
            address="127.0.0.1", port=port, user="ops", password=Secret("geheim"), known_hosts=(client.known,)
        )
        return Host(name="node", connection=connection)

    yield start
    listener.close()
    for session in sessions:
        session.close()


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """An ssh-agent; call it with a key file to add one."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 5
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(key)], check=True)

    yield add
    process.terminate()
    process.wait(5)


def open_things() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


class TestUnreachable:
    """Each cause has a sentence of its own."""

    def fails(self, client: Client, **connection: Any) -> ConnectionFailed:
        with pytest.raises(ConnectionFailed) as caught:
            client.access.open(Host(name="node", connection=Connection(**connection)))
        assert caught.value.host == "node"
        assert caught.value.remedy
        return caught.value

    def test_nothing_listens(self, client: Client, free_port: int) -> None:
        assert "refuses the connection" in self.fails(client, address="127.0.0.1", port=free_port).cause

    def test_no_such_name(self, client: Client) -> None:
        assert "name no-such-host.invalid is not known" in self.fails(client, address="no-such-host.invalid").cause

    def test_no_answer_to_tcp(self, client: Client) -> None:
        """A listener whose queue is full drops what comes, as a firewall does."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            begin = time.monotonic()
            error = self.fails(client, address="127.0.0.1", port=listener.getsockname()[1], connect_timeout=0.5)
            for filler in fillers:
                filler.close()
        assert "no answer from 127.0.0.1 port" in error.cause
        assert time.monotonic() - begin < 10  # paramiko's own limits are 15 s and more

    def test_no_banner(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            begin = time.monotonic()
            error = self.fails(client, address="127.0.0.1", port=listener.getsockname()[1], connect_timeout=0.5)
        assert "no SSH server answered within 0.5 s" in error.cause
        assert time.monotonic() - begin < 10  # paramiko's own limits are 15 s and more

    def test_not_an_ssh_server(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                peer, _ = listener.accept()
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.close()

            threading.Thread(target=answer, daemon=True).start()
            error = self.fails(client, address="127.0.0.1", port=listener.getsockname()[1], connect_timeout=2)
        assert "no SSH server answered" in error.cause

    def test_hangs_after_the_banner(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peers: list[socket.socket] = []

            def answer() -> None:
                peers.append(listener.accept()[0])
                peers[0].sendall(b"SSH-2.0-Tarpit\r\n")

            threading.Thread(target=answer, daemon=True).start()
            begin = time.monotonic()
            error = self.fails(client, address="127.0.0.1", port=listener.getsockname()[1], connect_timeout=0.5)
            for peer in peers:
                peer.close()
        assert "did not finish the key exchange" in error.cause
        assert time.monotonic() - begin < 10  # paramiko's own limits are 15 s and more

    def test_no_common_algorithm(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd("Ciphers chacha20-poly1305@openssh.com")
        with pytest.raises(ConnectionFailed, match="shares no algorithm"):
            client.open(server)

    def test_nothing_is_left_open(self, client: Client, free_port: int, start_sshd: StartSshd) -> None:
        server = start_sshd(trusted=False)
        before = open_things()
        for _ in range(5):
            self.fails(client, address="127.0.0.1", port=free_port)
            with pytest.raises(HostKeyRefused):
                client.open(server)
        until = time.monotonic() + 15
        while open_things() > before and time.monotonic() < until:
            time.sleep(0.02)
        assert open_things() <= before
