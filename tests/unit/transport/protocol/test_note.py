"""The note on the host says what an act that was cut off has done."""

from __future__ import annotations

import pytest

from kubeforge.transport.protocol.note import interrupted, opening

TITLES = ("file /a", "command new\nline \\n \u2028 and \x0c that", "unit x")
OPENING = opening("run-1", TITLES, ["file /earlier", "odd\\\n"])


@pytest.mark.parametrize("note", [None, b"", b"rubbish\n", (OPENING + "start 0\ndone 0 0\nend\n").encode()])
def test_nothing_to_say(note: bytes | None) -> None:
    assert interrupted(note) is None


def test_a_reboot_half_way() -> None:
    found = interrupted((OPENING + "start 0\ndone 0 0\nstart 1\n").encode())
    assert found is not None
    assert (found.run_id, found.done, found.doubtful, found.failed) == ("run-1", TITLES[:1], TITLES[1], None)
    assert found.pending == TITLES[2:]
    assert found.changed == {"file /earlier", "odd\\\n", TITLES[0], TITLES[1]}
    assert str(found) == f"run run-1 was cut off: 1 of 3 changes were made, and {TITLES[1]} had begun"


def test_a_failure() -> None:
    found = interrupted((OPENING + "start 0\ndone 0 3\nfailed\n").encode())
    assert found is not None
    assert (found.failed, found.done) == (TITLES[0], ())
    assert "stopped at a failure: 0 of 3 changes were made, then file /a failed" in str(found)


@pytest.mark.parametrize("length", range(0, len(OPENING), 7))
def test_a_torn_note_is_no_traceback(length: int) -> None:
    interrupted((OPENING[:length]).encode())
    interrupted((OPENING + "start 0\ndone 0 0\nstart"[: length % 24]).encode())
