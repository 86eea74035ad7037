"""What hosts remember of an upgrade, and which generations stay for it."""

from __future__ import annotations

import pytest

from kubeforge.spec.upgrading import Finished, Record, folds_after, is_open, read_finished, read_record

RECORD = Record(old="1.35.4", new="1.36.3", base=7, begun=100, brings=("a:1",))


def test_what_is_written_is_read_again() -> None:
    assert read_record(RECORD.text()) == RECORD
    assert RECORD.towards("1.37.0", ["b:1", "a:1"]).brings == ("a:1", "b:1")
    mark = Finished(begun=100, generation=9)
    assert read_finished(mark.text()) == mark


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"7", b'{"old": "1"}', b"\xff"])
def test_what_is_no_record_is_none(content: bytes | None) -> None:
    assert read_record(content) is None
    assert read_finished(content) is None


def test_one_is_open_until_its_own_mark_is_there() -> None:
    assert not is_open(None, None)
    assert is_open(RECORD, None)
    assert is_open(RECORD, Finished(begun=99, generation=7))
    assert not is_open(RECORD, Finished(begun=100, generation=9))


@pytest.mark.parametrize(
    ("last", "record", "finished", "stay"),
    [
        (20, None, None, 5),
        (20, RECORD, None, 13),
        (9, RECORD, None, 5),
        (16, RECORD, Finished(begun=100, generation=15), 9),
        (20, RECORD, Finished(begun=100, generation=15), 5),
        (20, RECORD, Finished(begun=50, generation=6), 13),
    ],
)
def test_generations_stay_as_long_as_they_are_wanted(
    last: int, record: Record | None, finished: Finished | None, stay: int
) -> None:
    assert folds_after(range(1, last + 1), 5, record, finished) == stay
