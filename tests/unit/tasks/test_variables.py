"""What variables mean; what cannot be read is the input's fault, not the code's."""

from __future__ import annotations

import pytest

from kubeforge.errors import InputError
from kubeforge.tasks.variables import flag, span


def test_what_is_not_given_is_the_default() -> None:
    assert span({}, "within", 60.0) == 60.0
    assert flag({}, "drain", default=True) is True


@pytest.mark.parametrize(("given", "meant"), [("5m", 300.0), ("90", 90.0), (7, 7.0)])
def test_spans_of_time(given: object, meant: float) -> None:
    assert span({"within": given}, "within", 1.0) == meant


@pytest.mark.parametrize(("given", "meant"), [("yes", True), ("No", False), (True, True), ("off", False), ("", False)])
def test_yes_or_no(given: object, *, meant: bool) -> None:
    assert flag({"drain": given}, "drain", default=not meant) is meant


def test_what_cannot_be_read_names_its_variable() -> None:
    with pytest.raises(InputError, match="1 problem") as wrong:
        span({"patch_reboot_deadline": "soon"}, "patch_reboot_deadline", 1.0)
    assert "patch_reboot_deadline: `soon` is no duration" in str(wrong.value)
    with pytest.raises(InputError) as wrong:
        flag({"upgrade_drain": "perhaps"}, "upgrade_drain", default=True)
    assert "upgrade_drain: `perhaps` is neither yes nor no" in str(wrong.value)
