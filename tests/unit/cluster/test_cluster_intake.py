"""A kubelet that has just started does not follow changes of its static pods at once."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.intake import lacks_intake
from kubeforge.errors import ApiUnavailable

COUNTED = 'kubelet_desired_pods{static=""} 3\nkubelet_desired_pods{static="true"} 4\n'


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, COUNTED, None),
        (200, "kubelet_node_name 1\n", "has not looked after its static pods yet"),
        (502, "connection refused", "cannot be asked for its pods yet: connection refused"),
    ],
)
def test_what_it_counts_tells(status: int, body: str, said: str | None) -> None:
    class Told:
        def text(self, path: str) -> tuple[int, str]:
            assert path == "/api/v1/nodes/cp1/proxy/metrics"
            return status, body

    api: Any = Told()
    found = lacks_intake(api, "cp1")
    assert found is None if said is None else said in str(found)


def test_without_an_api_it_is_not_waited_for() -> None:
    class Silent:
        def text(self, _path: str) -> tuple[int, str]:
            raise ApiUnavailable("nobody answers")

    api: Any = Silent()
    assert lacks_intake(api, "cp1") is None
