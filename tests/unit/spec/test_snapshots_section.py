"""`etcd.snapshots` in cluster.yml."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kubeforge.spec.model import Etcd


def test_a_spec_that_says_nothing_has_snapshots() -> None:
    given = Etcd().snapshots
    assert (given.schedule, given.keep, given.days) == ("*-*-* 00/12:00:00", 5, 30)


@pytest.mark.parametrize("schedule", ["hourly", "*-*-* 03:00:00", "Mon..Fri *-*-* 02,14:30:00 UTC", None])
def test_schedules(schedule: str | None) -> None:
    assert Etcd.model_validate({"snapshots": {"schedule": schedule}}).snapshots.schedule == schedule


@pytest.mark.parametrize(
    "wrong", [{"schedule": ""}, {"schedule": "daily\nExecStart=x"}, {"keep": 0}, {"days": 0}, {"to": "s3://x"}]
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Etcd.model_validate({"snapshots": wrong})
