from __future__ import annotations

from datetime import timedelta

import pytest

from kubeforge.spec.durations import parse_duration, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 86400),
        ("1h30m", 5400),
        ("90s", 90),
        ("0", 0),
        ("0s", 0),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("2h0m0s", 7200),
    ],
)
def test_gos_notation(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "24", "1d", "-1h", "1h x", "h", "1h30", " 1h", "1h\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 24h"):
        parse_duration(text)


@pytest.mark.parametrize(("given", "seconds"), [(90, 90), (1.5, 1.5), ("90", 90), (" 0 ", 0), ("90s", 90), ("5m", 300)])
def test_seconds_or_gos_notation(given: object, seconds: float) -> None:
    assert parse_seconds(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "-1", -1, "-5m", "nan", "inf", None])
def test_what_are_no_seconds(given: object) -> None:
    with pytest.raises(ValueError, match="write it like 24h"):
        parse_seconds(given)
