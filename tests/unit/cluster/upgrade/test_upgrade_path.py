"""Which versions lie on the way, which one is meant where none is named, and what is no version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubeforge.cluster.upgrade.judge import choose
from kubeforge.errors import InputError
from kubeforge.spec.releases import release
from kubeforge.spec.upgrade_path import path, targets, wanted_version

from .conftest import NEW, OFFERED, OLD, make


@pytest.mark.parametrize(
    ("now", "wanted", "steps"),
    [
        ("1.35.4", "1.35.8", ("1.35.8",)),
        ("1.35.4", "1.36.3", ("1.36.3",)),
        ("1.35.4", "1.37.0", ("1.36.3", "1.37.0")),
        ("1.34.9", "1.37.0", ("1.35.4", "1.36.3", "1.37.0")),
        ("1.36.3", "1.36.3", ()),
    ],
)
def test_one_minor_at_a_time(now: str, wanted: str, steps: tuple[str, ...]) -> None:
    way = path(now, wanted, OFFERED)
    assert (way.steps, way.problem) == (steps, "")


def test_a_patch_that_an_earlier_run_began_with_is_kept() -> None:
    assert path("1.35.4", "1.37.0", OFFERED, running=("1.35.4", "1.36.1")).steps == ("1.36.1", "1.37.0")


def test_a_source_that_lacks_a_minor_leaves_the_newest_known() -> None:
    assert path("1.35.4", "1.37.0", ()).steps == (release("1.36").kubernetes, "1.37.0")


@pytest.mark.parametrize(
    ("now", "wanted", "problem"),
    [
        ("1.36.3", "1.36.1", "older than 1.36.3"),
        ("1.36.3", "1.35.8", "older than 1.36.3"),
        ("1.32.1", "1.36.3", "does not know 1.33, 1.34"),
        ("2.0.0", "1.36.3", "older"),
    ],
)
def test_no_way(now: str, wanted: str, problem: str) -> None:
    way = path(now, wanted, OFFERED)
    assert way.steps == ()
    assert problem in way.problem


@pytest.mark.parametrize(
    ("text", "version"), [("1.36.3", "1.36.3"), ("v1.36.1", "1.36.1"), ("1.36", "1.36.3"), ("1.37", "1.37.0")]
)
def test_versions_as_people_write_them(text: str, version: str) -> None:
    assert wanted_version(text, OFFERED) == version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latest", "`latest` is no version"),
        ("1.36.x", "`1.36.x` is no version"),
        ("1.36.3.1", "`1.36.3.1` is no version"),
        ("1", "`1` is no version"),
        ("", "`` is no version"),
        ("1.99.0", "Kubernetes 1.99 is not supported; supported: 1.35, 1.36, 1.37"),
        ("2.0", "Kubernetes 2.0 is not supported"),
    ],
)
def test_versions_that_nobody_knows(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        wanted_version(text, OFFERED)
    assert message in str(caught.value)
    assert "without a version" in str(caught.value.remedy)


def test_where_one_can_go() -> None:
    assert targets(OLD, OFFERED) == (NEW, "1.37.0"), "the source has no newer patch of 1.35"
    assert targets("1.36.1", OFFERED) == (NEW, "1.37.0")
    assert targets("1.37.0", OFFERED) == ()


def test_the_newest_that_nothing_stands_in_the_way_of_is_looked_at() -> None:
    made = make()
    made.lacking["1.37.0"] = {"missing": ("kubernetes 1.37.0",)}
    plan, choices = choose(made.question(), targets(OLD, OFFERED))
    assert plan.wanted == NEW
    assert [(one.kubernetes, one.steps, one.blocked) for one in choices] == [
        (NEW, (NEW,), 0),
        ("1.37.0", (NEW, "1.37.0"), 1),
    ]


def test_else_the_nearest() -> None:
    made = make()
    made.lacking = {version: {"missing": ("x",)} for version in (NEW, "1.37.0")}
    assert choose(made.question(), targets(OLD, OFFERED))[0].wanted == NEW


def test_what_cluster_yml_asks_for_comes_first() -> None:
    made = make()
    made.sample = replace(made.sample, spec=made.sample.spec.model_copy(update={"kubernetes": "1.36.1"}))
    assert choose(made.question(), targets(OLD, OFFERED))[0].wanted == "1.36.1"


def test_what_was_begun_comes_first_whatever_cluster_yml_says() -> None:
    made = make()
    made.runs("cp1", "1.36.1")
    assert choose(made.question(), targets(OLD, OFFERED))[0].wanted == "1.36.1"


def test_there_is_nowhere_to_go() -> None:
    made = make("1.37.0")
    plan, choices = choose(made.question(), ())
    assert (plan.wanted, plan.path, choices) == ("1.37.0", (), ())
