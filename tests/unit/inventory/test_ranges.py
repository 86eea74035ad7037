from __future__ import annotations

import pytest

from kubeforge.inventory.ranges import RangeError, expand, split_port


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", ["plain"]),
        ("w[1:3]", ["w1", "w2", "w3"]),
        ("w[8:11]", ["w8", "w9", "w10", "w11"]),
        ("w[08:11]", ["w08", "w09", "w10", "w11"]),
        ("web[01:07:3].x", ["web01.x", "web04.x", "web07.x"]),
        ("db-[a:c]", ["db-a", "db-b", "db-c"]),
        ("[a:e:2]", ["a", "c", "e"]),
        ("r[1:2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"]),
        ("w[:2]", ["w0", "w1", "w2"]),
        ("w[5:5]", ["w5"]),
    ],
)
def test_expand(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w[1:3", "not closed"),
        ("w1:3]", "not closed"),
        ("w[1]", "not a range"),
        ("w[a:3]", "not a range"),
        ("w[aa:cc]", "not a range"),
        ("w[3:1]", "holds nothing"),
        ("w[c:a]", "holds nothing"),
        ("w[1:3:0]", "holds nothing"),
        ("w[01:100]", "2 digits"),
        ("w[0:9999999999]", "more than"),
        ("w[0:999][0:999]", "1000000 hosts"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        expand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w1", ("w1", None)),
        ("w1:22", ("w1", 22)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]:22", ("2001:db8::1", 22)),
        ("w[1:3]", ("w[1:3]", None)),
    ],
)
def test_split_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_port(text) == expected
