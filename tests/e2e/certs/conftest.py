"""A lab of three control planes and a worker for the file, in its order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.ha.conftest import Ha, made


@pytest.fixture(scope="module")
def trio() -> Iterator[Ha]:
    """A cluster that lives."""
    with made("certs", control_planes=3, workers=1) as forge:
        forge.apply().check(0)
        forge.until_good()
        yield forge
