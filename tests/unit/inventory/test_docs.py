"""docs/inventory.md names what there is."""

from __future__ import annotations

from pathlib import Path

from kubeforge.inventory.filters import FILTERS, TESTS
from kubeforge.inventory.sources import DEADLINE
from tests.integration.inventory.corpus import CASES

DOCS = (Path(__file__).parents[3] / "docs/inventory.md").read_text()


def test_every_filter_and_test_is_named() -> None:
    assert [name for name in (*FILTERS, *TESTS) if f"`{name}`" not in DOCS] == []


def test_figures() -> None:
    assert f"within {DEADLINE:g} s" in DOCS
    assert f"tested on [{len(CASES)} inventories]" in DOCS
