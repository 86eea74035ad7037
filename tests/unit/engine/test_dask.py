"""Exchanges near the hosts, with a cluster of dask played by threads: what crosses is bytes, and the same again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future as Promise
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.dask import near
from kubeforge.engine.dask.executor import DaskExecutor
from kubeforge.engine.dask.near import Call, Refusal, serve
from kubeforge.engine.dask.remotes import NearRemotes
from kubeforge.engine.dask.seal import KEY_VARIABLE, Seal
from kubeforge.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    InputError,
    OperationFailed,
    Problem,
    ProtocolError,
)
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, LocalContent, Observation, Queries, Verb, fold
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.transport.memory import MemoryHost

PASSWORD = b"correct horse battery staple"
FILES = "- {play: Write, hosts: all, tasks: [files.write]}"


class Cluster:
    """A dask cluster in this process; notes everything that a scheduler would see."""

    def __init__(self, threads: int = 2) -> None:
        self.seen: list[bytes] = []
        self.options: list[dict[str, Any]] = []
        self.threads = threads
        self.lost = False
        self.closed = False

    def submit(self, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.options.append(options)
        promise: Promise[Any] = Promise()
        if self.lost:
            return promise
        threading.Thread(target=self._work, args=(promise, func, args), daemon=True).start()
        return promise

    def _work(self, promise: Promise[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.seen += [arg for arg in args if isinstance(arg, bytes)]
        try:
            done = func(*args)
        except Exception as error:  # noqa: BLE001 - as a future does
            promise.set_exception(error)
            return
        if isinstance(done, bytes):
            self.seen.append(done)
        promise.set_result(done)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.seen += args
        return {"tcp://w:1": function(*args)}

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a:1": self.threads, "tcp://b:1": self.threads} if self.threads else {}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32))
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    return path


@pytest.fixture
def reached(key: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world whose hosts the workers reach: by the same hosts in memory."""
    world = make("w1", "w2")
    monkeypatch.setattr(near, "ShellRemote", lambda name: world.hosts[name])
    monkeypatch.setattr("kubeforge.transport.connect.Connections.get", lambda _self, host: host.name)
    near._sessions.cache_clear()
    return world


def remotes(world: Any, cluster: Cluster, **connection: Any) -> NearRemotes:
    hosts = {
        name: Host(name=name, connection=Connection(address=name, password=Secret(PASSWORD)), vars={"x": lambda: 0})
        for name in world.hosts
    }
    inventory = Inventory(hosts=hosts, groups={"all": tuple(hosts)})
    return NearRemotes(inventory, world, DaskExecutor(cluster))


def test_a_run_over_workers(reached: Any) -> None:
    cluster = Cluster()
    near_hosts = remotes(reached, cluster)
    with reached.session(FILES, remotes=near_hosts) as session:
        result = session.apply(session.plan())
    assert result.exit_code == 0
    assert [host.acted for host in reached.hosts.values()] == [["file /etc/a", "file /etc/b"]] * 2
    with reached.session(FILES, remotes=remotes(reached, Cluster())) as session:
        assert not session.plan()
    assert cluster.closed
    assert all(options["retries"] == 0 and options["pure"] is False for options in cluster.options)


@pytest.mark.parametrize("error", [OSError("the scheduler is gone"), InputError([Problem(message="no key")])])
def test_a_cluster_that_is_gone_in_the_end_does_not_hide_the_result(
    reached: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()

    def gone(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cluster, "run", gone)
    with reached.session(FILES, remotes=remotes(reached, cluster)) as session:
        result = session.apply(session.plan())
    assert result.exit_code == 0
    assert cluster.closed


def test_no_secret_crosses_in_clear(reached: Any) -> None:
    cluster = Cluster()
    remote = remotes(reached, cluster).remote("w1")
    operations = [File(path="/etc/secret", content=Secret(b"top secret words"), mode=0o600)]
    seen = remote.observe(Queries.merge(operation.observe() for operation in operations))
    changes, _ = fold(operations, seen)
    assert [result.status for result in remote.act(changes, seen, run_id="r")] == [0]
    assert reached.hosts["w1"].file("/etc/secret") == b"top secret words"
    crossed = b"".join(cluster.seen)
    assert len(cluster.seen) == 4
    for word in (b"top secret", PASSWORD, b"/etc/secret", b"kubeforge"):  # a pickle names modules
        assert word not in crossed


def test_a_host_goes_to_the_same_worker_or_to_its_site(reached: Any) -> None:
    cluster = Cluster()
    made = remotes(reached, cluster)
    for _ in range(3):
        made.remote("w1").observe(Queries(stats=("/",)))
    assert len({tuple(options["workers"]) for options in cluster.options}) == 1
    assert all(options["allow_other_workers"] for options in cluster.options)
    host = Host(name="w1", connection=Connection(address="w1"), vars={"kubeforge_site": "berlin"})
    made.ask(host, "observe", (Queries(stats=("/",)),), {}, within=5)
    assert cluster.options[-1]["resources"] == {"berlin": 1}


def test_errors_come_back_as_they_were(reached: Any) -> None:
    reached.hosts["w1"].unreachable = True
    remote = remotes(reached, Cluster()).remote("w1")
    with pytest.raises(ConnectionFailed, match="cannot be reached") as raised:
        remote.observe(Queries(stats=("/",)))
    assert raised.value.remedy == "set unreachable to False"
    with pytest.raises(OperationFailed, match="No such file"):
        remotes(reached, Cluster()).remote("w2").read("/etc/nothing")


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationFailed("no key fits", host="w1", step="connect", remedy="add one", evidence=["line"]),
        ConnectionLost("broke", host="w1"),
    ],
)
def test_an_error_is_its_data(error: ConnectionFailed) -> None:
    again = Refusal.of(error).raised()
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_an_input_error_comes_back(key: Path) -> None:
    assert "broken" in str(Refusal.of(InputError([Problem(message="broken")])).raised())


def test_big_files_and_tunnels_go_from_here(reached: Any, tmp_path: Path) -> None:
    cluster = Cluster()
    made = remotes(reached, cluster)
    content = tmp_path / "big"
    content.write_bytes(b"x" * 100)
    big = LocalContent(path=content, sha256="0" * 64, size=100)
    made.remote("w1").act(
        [Change(title="big", verb=Verb.CREATE, why="is missing", payload=big)], Observation(), run_id="r"
    )
    assert reached.hosts["w1"].calls == ["act"]
    assert cluster.seen == []


def test_a_worker_that_does_not_answer(reached: Any) -> None:
    cluster = Cluster()
    cluster.lost = True
    made = remotes(reached, cluster)
    with pytest.raises(ConnectionLost, match="no worker has answered") as raised:
        made.ask(Host(name="w1", connection=Connection(address="w1")), "read", ("/x",), {}, within=0.05)
    assert raised.value.host == "w1"


def test_each_is_an_executor() -> None:
    executor = DaskExecutor(Cluster(threads=1))
    assert dict(executor.each(abs, [-1, -2, -3, *range(20)])) == {-1: 1, -2: 2, -3: 3, **{n: n for n in range(20)}}
    begun: list[int] = []
    assert list(executor.each(begun.append, [1, 2], stop=lambda: True)) == []
    assert begun == []


def test_each_raises_what_work_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(DaskExecutor(Cluster()).each(int, ["x"]))


def test_a_cluster_without_workers() -> None:
    with pytest.raises(ConnectionFailed, match="has no worker"):
        DaskExecutor(Cluster(threads=0))


@pytest.mark.parametrize("address", ["dask:", "http://host:1", "host:8786"])
def test_addresses(address: str) -> None:
    with pytest.raises(InputError, match="dask://HOST:PORT"):
        DaskExecutor.of(address)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(InputError, match="is not installed"):
        DaskExecutor.of("dask://127.0.0.1:8786")


def test_everything_that_crosses_is_the_same_on_the_other_side(key: Path) -> None:
    seal = Seal.of_environment()
    host = MemoryHost("w1", files={"/etc/a": b"1", paths.RUN_NOTE: b"begin r 0\nend\n"})
    seen = host.observe(
        Queries(stats=("/etc/a", "/"), hashes=("/etc/a",), reads=(paths.RUN_NOTE,), units=("x.service",))
    )
    changes, _ = fold([File(path="/etc/a", content=Secret(b"2"))], seen)
    call = Call(session="s", verb="act", arguments=(tuple(changes), seen), options={"run_id": "r"})
    assert seal.open(seal.close(call)) == call
    assert seal.close(call) != seal.close(call)


def test_seals_that_do_not_fit(key: Path) -> None:
    sealed = Seal.of_environment().close("x")
    with pytest.raises(ProtocolError, match="another key"):
        Seal(os.urandom(32)).open(sealed)
    with pytest.raises(ProtocolError):
        Seal.of_environment().open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(ProtocolError):
        serve(b"short")
    with pytest.raises(TypeError, match="cannot go to another process"):
        Seal.of_environment().close(lambda: 0)


@pytest.mark.parametrize(
    ("mode", "size", "said"),
    [(0o644, 32, "others may read"), (0o600, 31, "has 31 bytes"), (0o600, None, "cannot be read")],
)
def test_keys_that_are_none(tmp_path: Path, mode: int, size: int | None, said: str) -> None:
    path = tmp_path / "other"
    if size is not None:
        path.write_bytes(b"k" * size)
        path.chmod(mode)
    with pytest.raises(InputError, match=said):
        Seal.of_environment({KEY_VARIABLE: str(path)})
    with pytest.raises(InputError, match="is not set"):
        Seal.of_environment({})


def test_a_worker_does_nothing_else(reached: Any) -> None:
    seal = Seal.of_environment()
    host = Host(name="w1", connection=Connection(address="w1"))
    answer = seal.open(serve(seal.close(Call(session="s", verb="close", host=host))))
    assert answer.error == "ProtocolError"
