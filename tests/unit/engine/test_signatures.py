"""What is told of a value at a glance agrees with what pydantic says, for every argument of every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from kubeforge import tasks
from kubeforge.engine.signatures import Parameter, complaint, fits, signature

VALUES: Final[tuple[Any, ...]] = (
    *("present", "absent", "0644", "", None, True, False, 0, 1, 420, 1.5),
    *([], ["a"], ["a", 1], [1], [True], [["a"]], {}, {"a": "b"}, {"a": 1}, {"debian": ["a"]}, {"a": ["b"]}, {1: "a"}),
    *(b"a", Path("a"), ("a",)),
)
"""What YAML or a Python file may give, right and wrong."""
PARAMETERS: Final = [
    (task.name, parameter) for task in tasks.load().values() for parameter in signature(task).parameters.values()
]


def test_what_fits_at_a_glance_is_right_for_pydantic() -> None:
    wrong = []
    for task, parameter in PARAMETERS:
        adapter: TypeAdapter[Any] = TypeAdapter(parameter.hint, config=ConfigDict(arbitrary_types_allowed=True))
        for value in VALUES:
            if fits(parameter.hint, value):
                try:
                    adapter.validate_python(value, strict=True)
                except ValidationError as error:
                    wrong.append(f"{task}.{parameter.name}: {value!r}: {error}")
    assert len(PARAMETERS) > 200
    assert wrong == []


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, "a"),
        (str | None, None),
        (Literal["present", "absent"], "absent"),
        (Sequence[str], ["a", "b"]),
        (str | Sequence[str] | Mapping[Literal["debian"], Sequence[str]], {"debian": ["a"]}),
        (Mapping[str, object], {}),
        (int | float, 1.5),
        (Any, object()),
    ],
)
def test_what_playbooks_mostly_say_needs_no_pydantic(hint: Any, value: Any) -> None:
    assert fits(hint, value)


@pytest.mark.parametrize(
    ("hint", "value", "why"),
    [
        (str, 1, "string is expected, not 1"),
        (bool, 1, "yes or no is expected, not 1"),
        (int, True, "integer is expected, not True"),
        (Literal["a", "b"], "c", "'a' or 'b' is expected, not 'c'"),
        (Sequence[str], ["a", 1], "string is expected at 1, not ['a', 1]"),
    ],
)
def test_what_does_not_fit_is_told_in_words(hint: Any, value: Any, why: str) -> None:
    parameter = Parameter(name="n", hint=hint, annotation=hint, required=True, default=None, summary="")
    assert not fits(hint, value)
    assert complaint(parameter, value) == why
