"""An external balancer that nobody has set up: said where it is met, and the next run goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.lab


def external(address: str) -> Any:
    return lambda data: data.update(endpoint={"kind": "external", "address": address})


def test_an_address_that_nobody_answers(forge: Any, tmp_path: Any) -> None:
    plane = forge.lab.host("cp1").address
    nobody = plane.rpartition(".")[0] + ".240"
    said = forge.with_spec(tmp_path, external(nobody)).apply().check(15)
    said.names(
        "w1",
        "checks.endpoint",
        f"the API answers at its endpoint {nobody}:6443",
        f"have the balancer at {nobody}:6443 pass TCP on to {plane}:6443",
    )
    said.names("cp1", "checks.endpoint", f"at its endpoint {nobody}:6443", "have the balancer")
    problems = json.loads(forge.with_spec(tmp_path / "look", external(nobody)).run("status", "-o", "json").out)[
        "problems"
    ]
    (remedy,) = [one["remedy"] for one in problems if one["kind"] == "endpoint-silent"]
    assert remedy == f"make the balancer at {nobody}:6443 lead to port 6443 of the control planes"


def test_the_right_address_and_the_run_goes_on(forge: Any, tmp_path: Any) -> None:
    other = forge.with_spec(tmp_path, external(forge.lab.host("cp1").address))
    other.good()
