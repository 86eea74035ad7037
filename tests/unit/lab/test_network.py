"""Which subnet a new lab gets."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from kubeforge.errors import LabError
from kubeforge.lab.network import first_free


def networks(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def test_the_first_on_an_empty_machine() -> None:
    assert first_free([], []) == 0


def test_other_labs_numbers_are_taken_even_while_they_are_down() -> None:
    assert first_free([], [0, 2]) == 1


def test_networks_in_use_are_left_alone() -> None:
    assert first_free(networks("10.77.0.0/24", "10.77.1.128/25", "10.77.2.4/32"), []) == 3
    assert first_free(networks("10.77.0.0/22"), []) == 4


def test_a_wide_route_is_no_conflict() -> None:
    """A VPN's 10.0.0.0/8 must not forbid every lab; the lab's own route is the narrower one."""
    assert first_free(networks("10.0.0.0/8", "192.0.2.0/24"), []) == 0


def test_when_all_are_taken() -> None:
    with pytest.raises(LabError, match="no subnet"):
        first_free(networks("10.77.0.0/16"), [])
