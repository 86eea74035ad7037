"""Commands on many hosts: real shells on this machine stand for the hosts."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.engine.adhoc import KEPT, Answer, alike, everywhere
from kubeforge.engine.executors import ThreadExecutor
from kubeforge.engine.fetching import Fetching
from kubeforge.errors import ConnectionFailed, InputError
from kubeforge.transport.base import ByteSocket
from kubeforge.transport.local import LocalTransport


def local(host: str, command: str) -> ByteSocket:
    return LocalTransport(host).open_stream(command)


def run(
    command: str,
    *hosts: str,
    deadline: float = 20.0,
    sink: Callable[[str, bytes], None] = lambda _host, _piece: None,
    stop: Callable[[], bool] = lambda: False,
    open_stream: Callable[[str, str], ByteSocket] = local,
) -> list[Answer]:
    threads = ThreadExecutor(4)
    return list(
        everywhere(command, hosts or ("h1",), open_stream, executor=threads, deadline=deadline, sink=sink, stop=stop)
    )


def ended(pid: int) -> bool:
    """Wait until a process is gone, ten seconds at most."""
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        ("echo hello", 0, b"hello\n"),
        ("printf no-newline", 0, b"no-newline"),
        ("echo out; echo err >&2; exit 3", 3, b"out\nerr\n"),
        ("true", 0, b""),
        ("printf '\\000\\377'", 0, b"\0\xff"),
        ("kill -9 $$", 137, b""),
        ("echo \"it's $HOME\" 'a  b'", 0, None),
        ("cat", 0, b""),
    ],
)
def test_status_and_output(command: str, status: int, output: bytes | None) -> None:
    (answer,) = run(command)
    assert (answer.status, answer.failure) == (status, None)
    assert output is None or answer.output == output
    assert answer.size == len(answer.output)


def test_output_comes_as_it_is_printed() -> None:
    heard: list[tuple[float, bytes]] = []
    (answer,) = run(
        "yes | head -c 4096; while [ ! -e /nowhere ] && [ ${n:-0} -lt 20 ]; do n=$((${n:-0} + 1)); sleep 0.05; done",
        sink=lambda _host, piece: heard.append((time.monotonic(), piece)),
    )
    assert answer.good
    assert sum(len(piece) for _, piece in heard) == answer.size == 4096
    assert heard[0][0] < time.monotonic() - 0.5, "the first lines were there before the command ended"


def test_much_output_is_counted_and_its_end_kept() -> None:
    size = 20_000_000
    pieces = [0]

    def count(_host: str, piece: bytes) -> None:
        pieces[0] += len(piece)

    (answer,) = run(f"head -c {size} /dev/zero; echo end", sink=count)
    assert (answer.size, pieces[0], len(answer.output)) == (size + 4, size + 4, KEPT)
    assert answer.output.endswith(b"\0end\n")


def test_a_command_that_never_ends_is_ended_with_all_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    (answer,) = run(f"echo begun; sleep 987 & echo $! >{mark}; wait", deadline=1.0)
    assert (answer.status, answer.output) == (None, b"begun\n")
    assert answer.failure is not None
    assert "did not end within 1 s and was ended" in answer.failure.cause
    assert answer.seconds < 8
    assert ended(int(mark.read_text()))


def test_ctrl_c_ends_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    answers = run(f"echo $$ >{mark}; exec sleep 987", "h1", stop=mark.exists)
    assert [answer.failure.cause for answer in answers if answer.failure] == ["the command was ended: Ctrl-C"]
    assert ended(int(mark.read_text()))


def test_a_host_that_cannot_be_entered_is_one_answer_of_many() -> None:
    def open_stream(host: str, command: str) -> ByteSocket:
        if host == "h2":
            raise ConnectionFailed("no route to host", host=host)
        return local(host, command)

    answers = {answer.host: answer for answer in run("echo x", "h1", "h2", "h3", open_stream=open_stream)}
    assert [answers[host].status for host in ("h1", "h2", "h3")] == [0, None, 0]
    assert answers["h2"].failure is not None
    assert (answers["h2"].failure.exit_code, answers["h2"].failure.cause) == (11, "no route to host")


def test_a_connection_that_breaks_is_no_good_end() -> None:
    def cut(_host: str, _command: str) -> ByteSocket:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"half of the out")
        theirs.close()
        return ours

    (answer,) = run("x", open_stream=cut)
    assert (answer.status, answer.output) == (None, b"half of the out")
    assert answer.failure is not None
    assert answer.failure.error == "ConnectionLost"


def test_the_same_answers_stand_together() -> None:
    answers = run("case $((${#PWD} > 0)) in 1) echo same;; esac", "h1", "h2", "h3")
    other = Answer(host="h4", status=1, output=b"same\n", digest=answers[0].digest)
    assert [[one.host for one in group] for group in alike([other, *sorted(answers, key=lambda one: one.host)])] == [
        ["h1", "h2", "h3"],
        ["h4"],
    ]


@pytest.mark.parametrize("path", ["etc/hosts", "/var/../../x", "~/.bashrc"])
def test_what_is_fetched_has_an_absolute_path(tmp_path: Path, path: str) -> None:
    """Else it would be written outside of its host's folder, or come from a folder that nobody named."""
    with pytest.raises(InputError, match="an absolute path on the hosts is expected"):
        Fetching(tmp_path, path)
