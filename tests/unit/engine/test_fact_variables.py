"""Facts under Ansible's names."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.engine.executors import ThreadExecutor
from kubeforge.engine.fact_variables import fact_variables, variables_of
from kubeforge.engine.surveying import survey
from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.formats.constructed import FACTS
from kubeforge.operations.model import Observation
from kubeforge.transport.memory import MemoryHost
from tests.conftest import make_facts


@pytest.mark.parametrize(
    ("os_id", "like", "distribution", "family"),
    [
        ("debian", (), "Debian", "Debian"),
        ("ubuntu", ("debian",), "Ubuntu", "Debian"),
        ("rocky", ("rhel", "centos", "fedora"), "Rocky", "RedHat"),
        ("rhel", ("fedora",), "RedHat", "RedHat"),
        ("opensuse-leap", ("suse", "opensuse"), "openSUSE Leap", "Suse"),
        ("void", (), "Void", "Void"),
    ],
)
def test_distributions(os_id: str, like: tuple[str, ...], distribution: str, family: str) -> None:
    found = fact_variables(make_facts("h", os_id=os_id, os_like=frozenset({os_id, *like}), os_version="9.4"))
    assert (found["ansible_distribution"], found["ansible_os_family"]) == (distribution, family)
    assert (found["ansible_distribution_version"], found["ansible_distribution_major_version"]) == ("9.4", "9")
    assert found["ansible_facts"]["os_family"] == family


def test_the_machine() -> None:
    found = fact_variables(
        make_facts("h.example.com", arch="arm64", addresses={"e0": ("192.0.2.1/24", "2001:db8::1/64")})
    )
    assert found["ansible_architecture"] == "aarch64"
    assert (found["ansible_hostname"], found["ansible_nodename"]) == ("h", "h.example.com")
    assert (found["ansible_processor_vcpus"], found["ansible_memtotal_mb"]) == (2, 4096)
    assert (found["ansible_all_ipv4_addresses"], found["ansible_all_ipv6_addresses"]) == (
        ["192.0.2.1"],
        ["2001:db8::1"],
    )


def test_inventories_know_their_names() -> None:
    assert set(fact_variables(make_facts("h"))) == FACTS


def test_who_does_not_answer_is_told_apart() -> None:
    def remote(name: str) -> MemoryHost:
        if name == "off":
            raise ConnectionFailed("no route", host=name)
        return MemoryHost(name)

    def read(host: Any, *_: Any) -> Any:
        if host.host == "odd":
            raise ValueError("an answer that nobody foresaw")
        return make_facts(host.host), Observation()

    on, off, odd = survey(["on", "off", "odd"], remote, ThreadExecutor(2), read)
    told = variables_of([on, off, odd])
    assert odd.failure is not None
    assert "ValueError: an answer that nobody foresaw" in odd.failure.cause
    assert (list(told), told["on"]["ansible_hostname"]) == (["on"], "on")
    assert str(off.failure) == "off: facts: no route"
