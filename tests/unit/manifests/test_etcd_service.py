from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.manifests.etcd import arguments
from kubeforge.manifests.etcd_service import service_unit
from kubeforge.spec.paths import ETCD_WAL

Check = Callable[[str, str], None]


def command(unit: str) -> list[str]:
    """Return the words of ExecStart."""
    text = unit.partition("ExecStart=")[2].replace(" \\\n", " ").partition("\n")[0]
    return text.split()


def test_golden(sample: Callable[..., Any], golden: Check) -> None:
    cluster = sample(etcd_hosts=3)
    golden("etcd.service", service_unit(cluster.spec, cluster.inventory.hosts["e1"]))


def test_it_runs_what_the_pod_would_run(sample: Callable[..., Any]) -> None:
    cluster = sample(etcd_hosts=3, etcd={"extra_args": {"quota-backend-bytes": "8589934592"}})
    host = cluster.inventory.hosts["e2"]
    program, *flags = command(service_unit(cluster.spec, host))
    assert program == "/usr/local/bin/etcd"
    assert flags == arguments(cluster.spec, host, members={"e2": "https://192.0.2.42:2380"})[1:]
    assert "--quota-backend-bytes=8589934592" in flags


def test_it_starts_with_data_only(sample: Callable[..., Any]) -> None:
    cluster = sample(etcd_hosts=3)
    assert f"ConditionPathExists={ETCD_WAL}\n" in service_unit(cluster.spec, cluster.inventory.hosts["e3"])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("json", "--log-format=json"),
        ("50%", '"--log-format=50%%"'),
        ("$HOME", '"--log-format=$$HOME"'),
        ('a "b" c\\', '"--log-format=a \\"b\\" c\\\\"'),
    ],
)
def test_words_are_quoted_for_systemd(sample: Callable[..., Any], value: str, written: str) -> None:
    cluster = sample(etcd_hosts=1, etcd={"extra_args": {"log-format": value}})
    unit = service_unit(cluster.spec, cluster.inventory.hosts["e1"])
    assert f" {written}\n" in unit.replace(" \\\n", "\n") or f" {written} " in unit
