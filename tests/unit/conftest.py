"""What all unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kubeforge.cluster import conditions


@pytest.fixture(autouse=True, scope="session")
def quick_polls() -> Iterator[None]:
    """Nothing real is waited for here: a condition is looked at again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "_FIRST_POLL", 0.001)
        patch.setattr(conditions, "_SLOWEST_POLL", 0.01)
        yield
