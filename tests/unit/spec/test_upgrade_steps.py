"""By which versions a cluster goes."""

from __future__ import annotations

import pytest

from kubeforge.errors import InputError
from kubeforge.spec.releases import release
from kubeforge.spec.upgrade_path import steps_to


@pytest.mark.parametrize(
    ("running", "wanted", "via", "path"),
    [
        (["1.35.4"], "1.36.3", (), ("1.36.3",)),
        (["1.36.3"], "1.36.4", (), ("1.36.4",)),
        (["1.36.3"], "1.36.3", (), ("1.36.3",)),
        (["1.35.4"], "1.37.0", (), (release("1.36").kubernetes, "1.37.0")),
        (["1.35.4"], "1.37.0", ("1.36.1",), ("1.36.1", "1.37.0")),
        (["1.35.4", "1.36.3"], "1.37.0", (), ("1.36.3", "1.37.0")),
        (["1.36.3", "1.35.4", "1.35.4"], "1.36.3", (), ("1.36.3",)),
        ([], "1.36.3", (), ("1.36.3",)),
    ],
)
def test_one_minor_at_a_time(running: list[str], wanted: str, via: tuple[str, ...], path: tuple[str, ...]) -> None:
    assert steps_to(running, wanted, via=via) == path


@pytest.mark.parametrize(
    ("running", "wanted", "via", "words"),
    [
        (["1.36.3"], "1.35.4", (), "1.35.4 is older than 1.36.3"),
        (["1.36.3"], "1.36.2", (), "1.36.2 is older than 1.36.3"),
        (["1.35.4", "1.36.3"], "1.36.1", (), "1.36.1 is older than 1.36.3"),
        (["1.35.4"], "1.36.3", ("1.36.1",), "on the way: there is none"),
        (["1.35.4"], "1.37.0", ("1.35.8",), "1.35.8 is not between 1.35.4 and 1.37.0"),
    ],
)
def test_what_is_no_way_is_refused(running: list[str], wanted: str, via: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        steps_to(running, wanted, via=via)


def test_a_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match=r"1\.99 is not supported"):
        steps_to(["1.36.3"], "1.99.0")
