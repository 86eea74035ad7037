"""The public in-memory hosts, used as docs/testing.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge import testing
from kubeforge.engine.model import Context
from kubeforge.errors import InputError
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.tasks.registry import task
from kubeforge.testing import MemoryHost, MemorySite, ordinary_facts

DOCS = Path(__file__).parents[3] / "docs/testing.md"
BOOK = "- play: Greet\n  hosts: web\n  tasks:\n    - site.motd: {text: hello}\n"


@task("site.motd")
def motd(context: Context, *, text: str) -> Iterator[Operation]:
    """A greeting, with what the host is."""
    content = f"{text} from {context.host.name}, {context.mine.os_id}, {context.host.vars['place']}\n"
    yield File(path="/etc/motd", content=content.encode())


@pytest.fixture
def site() -> MemorySite:
    facts = {"web2": ordinary_facts("web2", os_id="rocky")}
    hosts = [MemoryHost(name) for name in ("web1", "web2", "db1")]
    groups = {"web": ["web1", "web2"]}
    return MemorySite(*hosts, groups=groups, variables={"place": "here"}, facts=facts, tasks=[motd])


def made(name: str = "h") -> tuple[MemoryHost, MemorySite]:
    host = MemoryHost(name)
    return host, MemorySite(host, groups={"web": [name]}, variables={"place": "here"}, tasks=[motd])


def test_plan_apply_and_nothing_left(site: MemorySite) -> None:
    plan = site.converge(BOOK)
    assert [(step.host, change.title) for step in plan.steps for change in step.changes] == [
        ("web1", "file /etc/motd"),
        ("web2", "file /etc/motd"),
    ]
    assert not site.plan(BOOK).steps


def test_facts_and_variables_reach_the_task() -> None:
    host, site = made("web1")
    site.converge(BOOK)
    assert host.file("/etc/motd") == b"hello from web1, debian, here\n"


def test_a_playbook_of_a_file_with_diffs(tmp_path: Path) -> None:
    host, site = made()
    host.put("/etc/motd", b"old\n")
    (tmp_path / "site.yml").write_text(BOOK)
    (step,) = site.plan(tmp_path / "site.yml", diff=True).steps
    assert step.changes[0].diff is not None
    assert host.file("/etc/motd") == b"old\n", "a plan changes nothing"


def test_what_fails_is_in_the_result_and_fails_converge() -> None:
    host, site = made()
    host.fail["file /etc/motd"] = 1
    assert [failure.host for failure in site.apply(BOOK).failures] == ["h"]
    with pytest.raises(AssertionError, match="failed"):
        site.converge(BOOK)
    host.fail.clear()
    host.unreachable = True
    with pytest.raises(AssertionError, match="could not be planned"):
        site.converge(BOOK)


def test_a_host_that_is_not_in_memory_is_told() -> None:
    _, site = made()
    text = BOOK.replace(
        "    - site.motd: {text: hello}\n", "    - site.motd: {text: hello}\n      delegate_to: localhost\n"
    )
    (failure,) = site.plan(text).failures
    assert failure.cause == "is not in memory"


def test_a_task_that_never_settles_fails_converge() -> None:
    count = iter(range(9))

    @task("site.count")
    def counted(context: Context) -> Iterator[Operation]:
        """Another content at each run."""
        yield File(path="/etc/count", content=f"{next(count)}\n".encode())

    host = MemoryHost("h")
    with pytest.raises(AssertionError, match="a second run would change: h: file /etc/count"):
        MemorySite(host, tasks=[counted]).converge("- play: Count\n  hosts: all\n  tasks: [site.count]\n")


def test_wrong_input_is_told() -> None:
    _, site = made()
    with pytest.raises(InputError, match="problem"):
        site.plan(BOOK.replace("site.motd", "site.mtod"))
    with pytest.raises(AssertionError, match="groups name hosts that are not there: w9"):
        MemorySite(MemoryHost("w1"), groups={"web": ["w9"]})
    with pytest.raises(AssertionError, match="mark it by @task"):
        MemorySite(MemoryHost("w1"), tasks=[made])  # type: ignore[list-item]


def test_example_of_the_docs() -> None:
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_motd"]()
    with pytest.raises(KeyError):
        MemoryHost("untouched").file("/etc/motd")


def test_everything_public_is_there() -> None:
    assert sorted(testing.__all__) == ["MemoryHost", "MemorySite", "RUNNING", "ordinary_facts"]
