"""Exchanges by two real workers of dask.distributed, processes of their own, with this machine as the host.

Needs the extra `dask` (fails and says so where it is missing), and root for kubeforge's folder on the host.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.dask.executor import DaskExecutor
from kubeforge.engine.dask.remotes import NearRemotes
from kubeforge.engine.dask.seal import KEY_VARIABLE
from kubeforge.engine.remotes import ConnectedRemotes
from kubeforge.errors import ConnectionLost
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.model import Queries
from kubeforge.secret import Secret

NAMES = ("h1", "h2", "h3")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    try:
        from distributed import LocalCluster
    except ImportError:
        pytest.fail("dask.distributed is not installed: pip install -e '.[dask]'")
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(32))
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    with LocalCluster(n_workers=2, threads_per_worker=4, processes=True, dashboard_address=None) as made:  # type: ignore[no-untyped-call]
        yield made


@pytest.fixture
def near(cluster: Any) -> Iterator[NearRemotes]:
    local = {name: Host(name=name, connection=Connection(kind="local", address="localhost")) for name in NAMES}
    inventory = Inventory(hosts=local, groups={"all": NAMES})
    executor = DaskExecutor.of(cluster.scheduler_address.replace("tcp://", "dask://"))
    remotes = NearRemotes(inventory, ConnectedRemotes(inventory), executor)
    yield remotes
    remotes.close()


def test_workers_do_it_and_not_we(near: NearRemotes) -> None:
    ours = str(os.getpid()).encode()
    parents = {near.remote(name).run(("sh", "-c", "echo $PPID")).stdout.strip() for name in NAMES}
    assert parents
    assert ours not in parents


def test_what_is_seen_and_written(near: NearRemotes, tmp_path: Path) -> None:
    path = str(tmp_path / "secret")
    near.remote("h1").write(path, Secret(b"words"), mode=0o600)
    assert near.remote("h2").read(path) == b"words"
    seen = near.remote("h3").observe(Queries(stats=(path,), hashes=(path,)))
    assert seen.paths[path]
    assert seen.hashes[path] == Secret(b"words").sha256


def test_each_with_real_workers(cluster: Any) -> None:
    executor = DaskExecutor.of(cluster.scheduler_address.replace("tcp://", "dask://"))
    assert dict(executor.each(abs, list(range(-40, 0)))) == {number: -number for number in range(-40, 0)}
    executor.close()


def test_a_worker_that_is_killed_in_a_command(near: NearRemotes, cluster: Any, tmp_path: Path) -> None:
    """dask sends it again, to another worker; nothing here waits for ever."""
    count = tmp_path / "count"
    script = f"echo x >>{count}; [ $(wc -l <{count}) -gt 1 ] || kill -9 $PPID"
    try:
        near.remote("h1").run(("sh", "-c", script), deadline=30)
    except ConnectionLost as error:
        assert error.host == "h1"  # noqa: PT017 - both endings are right: sent again, or given up
    assert near.remote("h2").run(("true",)).status == 0
