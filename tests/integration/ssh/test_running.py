"""Commands over SSH: input and output at the same time, bounds, deadlines, signals, connections that die."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    KubeforgeError,
    OperationFailed,
)
from kubeforge.transport.forward import forward_local
from kubeforge.transport.ssh import SshTransport

Sshd = Any  # the classes of conftest.py, which cannot be imported
Client = Any
StartSshd = Callable[..., Any]
MIB = 1 << 20
SOON = 15.0  # seconds: less than what would pass without the thing under test, more than a busy machine needs


def zeros(mib: int) -> Iterator[bytes]:
    return (bytes(MIB // 4) for _ in range(mib * 4))


class TestStreams:
    def test_status_and_both_outputs(self, node: SshTransport) -> None:
        done = node.run("cat; echo err >&2; exit 3", [b"a", b"", b"b"], deadline=5)
        assert (done.status, done.stdout, done.stderr) == (3, b"ab", b"err\n")

    def test_any_bytes(self, node: SshTransport) -> None:
        data = bytes(range(256)) * 10
        assert node.run("cat", [data], deadline=5).stdout == data

    def test_no_input_is_an_empty_one(self, node: SshTransport) -> None:
        assert node.run("cat", deadline=5).stdout == b""

    def test_fifty_megabytes_out(self, node: SshTransport) -> None:
        done = node.run(f"head -c {50 * MIB} /dev/zero; head -c {5 * MIB} /dev/zero >&2", deadline=30)
        assert (len(done.stdout), len(done.stderr)) == (50 * MIB, 5 * MIB)

    def test_much_on_stderr_first(self, node: SshTransport) -> None:
        """More than any window on the stream that nobody looks at first."""
        done = node.run(f"head -c {20 * MIB} /dev/zero >&2; echo end", deadline=30)
        assert (done.stdout, len(done.stderr)) == (b"end\n", 20 * MIB)

    def test_both_ways_at_once(self, node: SshTransport) -> None:
        """`cat` stops reading when nobody takes its output: input must not wait for itself."""
        assert len(node.run("cat", zeros(40), deadline=30).stdout) == 40 * MIB

    def test_too_much_output(self, node: SshTransport) -> None:
        with pytest.raises(OperationFailed, match="more than 64 MiB"):
            node.run("cat /dev/zero", deadline=30)
        assert node.run("echo still", deadline=5).stdout == b"still\n"

    def test_input_that_nobody_reads(self, node: SshTransport) -> None:
        assert node.run("exit 4", zeros(20), deadline=20).status == 4

    def test_chunks_are_asked_for_one_by_one(self, node: SshTransport) -> None:
        """Nothing is read ahead: a file of any size streams in bounded memory."""
        asked: list[int] = []

        def chunks() -> Iterator[bytes]:
            for number in range(100):
                asked.append(number)
                yield bytes(MIB // 4)

        with pytest.raises(DeadlineExceeded):
            node.run("sleep 5", chunks(), deadline=1)
        assert len(asked) < 40  # the server takes 2 MiB, the sockets some more

    def test_an_input_that_breaks(self, node: SshTransport) -> None:
        def chunks() -> Iterator[bytes]:
            yield from zeros(4)
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            node.run("cat >/dev/null", chunks(), deadline=10)
        assert node.run("echo still", deadline=5).stdout == b"still\n"

    def test_two_hundred_megabytes_in_bounded_memory(self, sshd: Sshd, client: Client) -> None:
        """In a process of its own, so that nothing else counts."""
        script = f"""
import resource
from pathlib import Path
from kubeforge.inventory.model import Connection, Host
from kubeforge.transport.connect import connect
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
host = Host(name="n", connection=Connection(address="127.0.0.1", port={sshd.port}, key_file=Path({str(client.key)!r}),
            known_hosts=(Path({str(client.known)!r}),)))
node = connect(host)
node.run("true", deadline=5)
before = peak()
done = node.run("wc -c", (bytes(1 << 18) for _ in range(800)), deadline=60)
print(int(done.stdout), peak() - before)
"""
        found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        size, grown = map(int, found.stdout.split())
        assert size == 200 * MIB
        assert grown < 12 * 1024  # KiB

    def test_new_keys_while_data_flows(self, start_sshd: StartSshd, client: Client) -> None:
        transport = client.open(start_sshd("RekeyLimit 1M"))
        assert int(transport.run("wc -c", zeros(30), deadline=60).stdout) == 30 * MIB
        assert len(transport.run("cat", zeros(10), deadline=60).stdout) == 10 * MIB

    def test_many_commands_at_once_on_one_connection(self, node: SshTransport) -> None:
        results: list[bytes] = []

        def run(number: int) -> None:
            results.append(node.run(f"echo {number}; cat | wc -c", zeros(2), deadline=30).stdout)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(results) == [b"%d\n%d\n" % (number, 2 * MIB) for number in range(8)]


@contextlib.contextmanager
def when_begun(folder: Path, sshd: Sshd, by: signal.Signals) -> Iterator[str]:
    """Signal the server's sessions once a command has begun: it must say so by what this yields."""
    begun = folder / "begun"
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if begun.exists():
                sshd.signal_sessions(by)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield f": >{begun}"
    finally:
        over.set()
        watcher.join()


class TestEnds:
    @pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
    def test_a_signal_is_128_and_its_number(self, node: SshTransport, name: str) -> None:
        assert node.run(f"kill -{name} $$", deadline=5).status == 128 + signal.Signals[f"SIG{name}"]

    def test_deadline(self, node: SshTransport) -> None:
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="did not end within 2 s") as caught:
            node.run("echo half way >&2; sleep 20", deadline=2)
        assert time.monotonic() - begin < SOON
        assert caught.value.evidence == ("half way",)
        assert node.run("echo still", deadline=5).stdout == b"still\n"

    def test_deadline_while_data_flows(self, node: SshTransport) -> None:
        with pytest.raises(DeadlineExceeded):
            node.run("while :; do echo x; sleep 0.05; done", deadline=1.5)

    def test_deadline_while_input_waits(self, node: SshTransport) -> None:
        with pytest.raises(DeadlineExceeded):
            node.run("sleep 20", zeros(30), deadline=1.5)

    def test_output_closed_early_is_no_end(self, node: SshTransport) -> None:
        begin = time.monotonic()
        assert node.run("exec >&- 2>&-; sleep 0.5; exit 6", deadline=5).status == 6
        assert time.monotonic() - begin >= 0.5

    def test_killed_while_it_ran(self, node: SshTransport, sshd: Sshd, tmp_path: Path) -> None:
        begin = time.monotonic()
        lost = pytest.raises(ConnectionLost, match="broke while a command ran")
        with when_begun(tmp_path, sshd, signal.SIGKILL) as mark, lost as caught:
            node.run(f"{mark}; sleep 20", deadline=20)
        assert time.monotonic() - begin < SOON
        assert caught.value.exit_code == 11
        with pytest.raises(ConnectionFailed, match="the connection is gone") as after:
            node.run("true", deadline=5)
        assert not isinstance(after.value, ConnectionLost)
        assert not node.alive

    def test_killed_while_input_flowed(self, node: SshTransport, sshd: Sshd, tmp_path: Path) -> None:
        with when_begun(tmp_path, sshd, signal.SIGKILL) as mark, pytest.raises(ConnectionLost):
            node.run(f"{mark}; sleep 20", zeros(50), deadline=20)

    def test_a_host_that_says_nothing_more(
        self, node: SshTransport, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A machine that was switched off sends no RST; after a silence it is asked, and does not answer."""
        monkeypatch.setattr("kubeforge.transport.ssh_exec._SILENCE", 0.5)
        monkeypatch.setattr("kubeforge.transport.ssh_exec._PATIENCE", 0.5)
        begin = time.monotonic()
        with when_begun(tmp_path, sshd, signal.SIGSTOP) as mark, pytest.raises(ConnectionLost):
            node.run(f"{mark}; sleep 20", deadline=20)
        assert time.monotonic() - begin < SOON

    @pytest.mark.parametrize("jump", [False, True], ids=["direct", "behind a jump host"])
    def test_a_host_that_takes_no_more(self, start_sshd: StartSshd, client: Client, jump: bool, tmp_path: Path) -> None:
        """Stopped in the middle of an upload: whoever writes would wait for ever."""
        inner = start_sshd()
        through = {"proxy_jump": f"127.0.0.1:{start_sshd().port}"} if jump else {}
        node = client.open(inner, **through)
        begin = time.monotonic()
        ended = pytest.raises((DeadlineExceeded, ConnectionLost))
        with when_begun(tmp_path, inner, signal.SIGSTOP) as mark, ended:
            node.run(f"{mark}; cat >/dev/null", iter(lambda: bytes(MIB), b""), deadline=3)
        assert time.monotonic() - begin < 2 * SOON

    def test_a_host_that_does_not_start_the_command(
        self, node: SshTransport, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kubeforge.transport.ssh_exec._START_SECONDS", 1.0)
        sshd.signal_sessions(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ConnectionFailed, match=r"does not answer|Timeout"):
            node.run("true", deadline=60)
        assert time.monotonic() - begin < SOON

    def test_a_silent_command_is_left_alone(self, node: SshTransport, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kubeforge.transport.ssh_exec._SILENCE", 0.1)
        assert node.run("sleep 0.7; echo end", deadline=5).stdout == b"end\n"

    def test_no_further_session(self, start_sshd: StartSshd, client: Client) -> None:
        server = start_sshd("MaxSessions 0")
        with pytest.raises(ConnectionFailed, match="opens no further session"):
            client.open(server).run("true", deadline=5)

    def test_closed_twice(self, node: SshTransport) -> None:
        node.close()
        node.close()
        with pytest.raises(ConnectionFailed):
            node.run("true", deadline=5)


@pytest.fixture
def echo_server() -> Iterator[int]:
    """Answers each connection with what it said, until it says no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(peer,), daemon=True).start()

        def echo(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(1 << 16):
                    peer.sendall(data)
                peer.sendall(b"bye")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said_back(sock: socket.socket, data: bytes) -> bytes:
    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    received = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    sender.join(10)
    return received


class TestTunnels:
    def test_a_tunnel(self, node: SshTransport, echo_server: int) -> None:
        tunnel = node.open_tunnel("127.0.0.1", echo_server)
        tunnel.settimeout(5)
        tunnel.sendall(b"hello")
        assert tunnel.recv(100) == b"hello"
        tunnel.close()

    def test_nothing_listens_there(self, node: SshTransport, free_port: int) -> None:
        with pytest.raises(ConnectionFailed, match=f"no tunnel to 127.0.0.1 port {free_port}"):
            node.open_tunnel("127.0.0.1", free_port)

    def test_forbidden(self, start_sshd: StartSshd, client: Client, echo_server: int) -> None:
        server = start_sshd("AllowTcpForwarding no")
        with pytest.raises(ConnectionFailed, match="no tunnel") as caught:
            client.open(server).open_tunnel("127.0.0.1", echo_server)
        assert "AllowTcpForwarding" in str(caught.value.remedy)

    def test_forward_local(self, node: SshTransport, echo_server: int) -> None:
        data = os.urandom(3 * MIB)
        with forward_local(node, "127.0.0.1", echo_server) as port:
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                    assert said_back(sock, data) == data + b"bye"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)

    def test_forward_local_many_at_once(self, node: SshTransport, echo_server: int) -> None:
        with forward_local(node, "127.0.0.1", echo_server) as port:
            socks = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
            for number, sock in enumerate(socks):
                sock.sendall(b"%d" % number)
            assert [sock.recv(10) for sock in socks] == [b"%d" % number for number in range(20)]
            before = threading.active_count()
        for sock in socks:
            assert sock.recv(10) in (b"", b"bye")  # ended, not left hanging
            sock.close()
        until = time.monotonic() + SOON
        while threading.active_count() > before - 40 and time.monotonic() < until:
            time.sleep(0.02)
        assert threading.active_count() <= before - 40

    def test_forward_local_goes_on_after_a_refusal(self, node: SshTransport, free_port: int) -> None:
        told: list[KubeforgeError] = []
        with forward_local(node, "127.0.0.1", free_port, on_error=told.append) as port:
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                    assert sock.recv(10) == b""
        assert len(told) == 2
