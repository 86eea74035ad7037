"""What is sent when: the login in one round trip, and nothing of it before the host's key was checked."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko.common import MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST

from kubeforge.errors import ConnectionFailed, HostKeyRefused
from kubeforge.transport.ssh_session import Session

Sshd = Any  # the classes of conftest.py, which cannot be imported
Client = Any
StartSshd = Callable[..., Any]
SECONDS = 10.0


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def types(messages: list[bytes]) -> list[int]:
    return [message[0] for message in messages]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every message that is sent."""
    seen: list[bytes] = []
    send = Session._send_message  # type: ignore[attr-defined]

    def note(self: Session, message: paramiko.Message) -> None:
        seen.append(message.asbytes())
        send(self, message)

    monkeypatch.setattr(Session, "_send_message", note)
    return seen


@contextmanager
def held_after_the_key_exchange(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Stop the server's sessions when keys were exchanged; give what lets them go on."""
    asked = Session.ensure_session

    def stop_first(self: Session) -> None:
        sshd.signal_sessions(signal.SIGSTOP)
        asked(self)

    monkeypatch.setattr(Session, "ensure_session", stop_first)
    yield lambda: sshd.signal_sessions(signal.SIGCONT)


def test_the_login_does_not_wait_for_its_service(
    sshd: Sshd, client: Client, sent: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_after_the_key_exchange(sshd, monkeypatch) as go_on:
        thread = threading.Thread(target=client.open, args=(sshd,))
        thread.start()
        wait_for(lambda: MSG_USERAUTH_REQUEST in types(sent))
        go_on()
        thread.join(SECONDS)
    assert client.opened[0].alive
    assert client.opened[0].session.is_authenticated()


def test_the_service_is_asked_for_once(
    sshd: Sshd, client: Client, sent: list[bytes], make_key: Any, tmp_path: Path
) -> None:
    usual = client.home / ".ssh" / "id_ecdsa"
    make_key(usual, kind="ecdsa")
    sshd.authorize(usual)
    client.open(sshd, key_file=make_key(tmp_path / "refused"))
    assert types(sent).count(MSG_SERVICE_REQUEST) == 1
    assert types(sent).count(MSG_USERAUTH_REQUEST) == 2


@pytest.fixture
def rsa(sshd: Sshd, make_key: Any, tmp_path: Path) -> Path:
    """An RSA key that the server takes."""
    key: Path = make_key(tmp_path / "rsa", kind="rsa")
    sshd.authorize(key)
    return key


@pytest.mark.parametrize("announced", [True, False])
def test_an_rsa_key_never_signs_with_sha1(
    sshd: Sshd, client: Client, rsa: Path, sent: list[bytes], monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    """Also where the server's list of algorithms (RFC 8308) is not there when the login is sent."""
    asked = Session.ensure_session

    def before(self: Session) -> None:
        if announced:
            wait_for(lambda: vars(self)["server_extensions"])
        else:
            vars(self)["server_extensions"] = {}
        asked(self)

    monkeypatch.setattr(Session, "ensure_session", before)
    assert client.open(sshd, key_file=rsa).alive
    (login,) = [message for message in sent if message[0] == MSG_USERAUTH_REQUEST]
    assert b"\x00\x00\x00\x0crsa-sha2-512" in login


def test_an_answer_that_is_quicker_than_the_request(
    sshd: Sshd, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending may take longer than the whole answer where many threads share a processor."""
    send = Session._send_message  # type: ignore[attr-defined]

    def slowly(self: Session, message: paramiko.Message) -> None:
        send(self, message)
        if message.asbytes()[0] == MSG_USERAUTH_REQUEST:
            wait_for(self.is_authenticated)

    monkeypatch.setattr(Session, "_send_message", slowly)
    assert client.open(sshd).alive


def test_the_server_hangs_up_instead_of_granting(sshd: Sshd, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Session.ensure_session

    def end_first(self: Session) -> None:
        sshd.signal_sessions(signal.SIGKILL)
        asked(self)

    monkeypatch.setattr(Session, "ensure_session", end_first)
    with pytest.raises(ConnectionFailed):
        client.open(sshd)


def test_nothing_of_the_login_is_sent_to_a_host_that_is_not_known(
    start_sshd: StartSshd, client: Client, sent: list[bytes]
) -> None:
    server = start_sshd("LogLevel DEBUG1", trusted=False)
    with pytest.raises(HostKeyRefused):
        client.open(server)
    assert not {MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST} & set(types(sent))
    assert "userauth-request" not in server.log.read_text()
    client.trust(server)
    assert type(client)(client.home, client.key, client.known, type(client.access)(home=client.home)).open(server).alive
    assert "userauth-request" in server.log.read_text()  # where it is sent it is seen


def test_a_host_is_dialled_before_paramiko_is_there(sshd: Sshd, client: Client) -> None:
    """Importing it passes while the connection is being made; in a process of its own."""
    script = f"""
import sys
from pathlib import Path
from kubeforge.inventory.model import Connection, Host
from kubeforge.transport import connect, ssh_access
dialled = []
dial = ssh_access.dial
def note(*arguments, **more):
    dialled.append("paramiko.client" in sys.modules)
    return dial(*arguments, **more)
ssh_access.dial = note
connect.import_ahead = lambda: None
host = Host(name="n", connection=Connection(address="127.0.0.1", port={sshd.port}, key_file=Path({str(client.key)!r}),
            known_hosts=(Path({str(client.known)!r}),)))
print(connect.connect(host).run("true", deadline=10).status, dialled)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "[False]"]
