"""The controller killed with -9 at ten moments of a birth: the next apply goes on to a good cluster, always."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.lab

Moment = Callable[[Any], object]


def begun(host: str, step: str) -> Moment:
    """The moment at which a host begins a step."""
    return lambda run: run.step("StepStarted", host, step)


def ended(host: str, step: str) -> Moment:
    return lambda run: run.step("StepDone", host, step)


def there(host: str, path: str) -> Moment:
    """The moment at which a file appears on a host: in the middle of a step, of which no event tells."""
    return lambda run: (run.forge.lab.host(host).files.upper / path).exists()


MOMENTS: dict[str, Moment] = {
    "plan": lambda run: "preflight.check" in run.said().err,
    "prepare begins": begun("w1", "os.prepare"),
    "prepare, in the middle": there("w1", "etc/containerd/config.toml"),
    "prepare, one host ended": ended("cp1", "os.prepare"),
    "keys and manifests": there("cp1", "etc/kubernetes/pki/ca.crt"),
    "the API server starts": begun("cp1", "control_plane.ready"),
    "objects": begun("cp1", "addons.apply"),
    "a worker joins": begun("w1", "kubelet.join"),
    "nodes become ready": begun("w1", "node w1"),
    "checks": begun("w1", "checks."),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed(forge: Any, moment: str) -> None:
    try:
        with forge.started() as run:
            run.until(lambda: MOMENTS[moment](run))
            run.send(signal.SIGKILL)
            assert run.child.wait(10) == -signal.SIGKILL
        forge.apply().check(0)
        forge.ready()
        forge.run("plan", "--detailed-exitcode").check(0, "No changes.")
    finally:
        if moment != list(MOMENTS)[-1]:  # the lab goes with the last one
            forge.run("reset", "--yes").check(0)
