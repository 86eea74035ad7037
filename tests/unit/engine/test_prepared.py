from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kubeforge.engine.playbook import Portion
from kubeforge.engine.prepared import guarded
from kubeforge.errors import ConnectionLost, OperationFailed, UnfitHost


@pytest.mark.parametrize("word", ["act", "observe", "run"])
def test_a_failure_has_the_name_of_its_step_not_of_the_transport_s_doing(word: str) -> None:
    failure = guarded(ConnectionLost("it broke", host="w1", step=word), host="w1", step="os.prepare")
    assert failure.step == "os.prepare"
    assert guarded(ConnectionLost("it broke", step=word), host="w1", step="").step == word


def test_what_knows_its_step_better_keeps_it() -> None:
    assert guarded(OperationFailed("no", step="file /etc/x"), host="w1", step="os.prepare").step == "file /etc/x"
    assert guarded(UnfitHost("no", step="connect"), host="w1", step="facts").step == "connect"
    assert guarded(ValueError("no"), host="w1", step="os.prepare").step == "os.prepare"


def raised(function: Callable[[], object]) -> str:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return guarded(error, host="w1", step="s").cause
    return ""


def test_whose_fault_it_is() -> None:
    """The code that was called last says it, whatever library that calls."""
    assert raised(lambda: json.loads("{")).startswith("code of your own raised JSONDecodeError: ")
    assert raised(lambda: Portion.of("many")).startswith("a fault in the code: ValueError: ")
