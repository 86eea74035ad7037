from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kubeforge.report.page import as_html
from kubeforge.report.page.timeline import lanes, play_bars
from kubeforge.report.page.topology import WIDTH, picture
from tests.recorded_run import NASTY, SECOND, write_run

VOID = {"meta", "i", "path", "rect"}


class Reader(HTMLParser):
    """Collects tags, attributes and text; elements must close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_everything_stands_on_the_page_and_failures_first(tmp_path: Path) -> None:
    page = read(as_html(write_run(tmp_path / "demo")))
    first, then = ["Failed: apply", "What went wrong", "it does not serve", "run again"], ["Not done", "When"]
    words = [*first, "its clock is off", *then, "What changed"]
    places = [page.text.index(word) for word in words]
    assert places == sorted(places)
    assert "a secret, not shown" in page.text
    assert "3 hosts" not in page.text
    assert "cp1, w1, w2" in page.text


def test_what_hosts_say_is_text(tmp_path: Path) -> None:
    page = read(as_html(write_run(tmp_path / "demo")))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"}
    assert page.text.count(NASTY) == 2, "in the failure and in the diff"


def test_it_needs_no_network(tmp_path: Path) -> None:
    text = as_html(write_run(tmp_path / "demo"))
    assert not re.search(r"https?:|url\(|@import|src=|href=", text)


@pytest.mark.parametrize(
    ("failed", "cut", "told"), [(True, False, "Failed"), (False, False, "Done"), (False, True, "Was cut off")]
)
def test_how_it_ended(tmp_path: Path, failed: bool, cut: bool, told: str) -> None:
    page = read(as_html(write_run(tmp_path / "demo", failed=failed, cut=cut)))
    (header,) = [attributes for tag, attributes in page.tags if tag == "header"]
    assert page.text.strip().split("\n")[0].startswith(told)
    assert header["class"] == {"Failed": "failed", "Done": "changed", "Was cut off": "cut"}[told]


def test_lanes_are_in_the_order_of_hosts_and_within_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    found = lanes(run)
    assert [lane.host for lane in found] == ["cp1", "w1", "w2"]
    bars = [(bar.left, bar.width, bar.state, bar.seconds) for bar in found[2].bars]
    assert bars == [(11.11, 44.44, "done", 4.0), (55.56, 44.44, "failed", 4.0)]
    assert [(play.number, play.left, play.seconds) for play in play_bars(run)] == [(1, 11.11, 4.0), (2, 55.56, 4.0)]


@pytest.mark.parametrize("hosts", [3, 20, 500])
def test_no_two_boxes_of_the_picture_lie_over_each_other(tmp_path: Path, hosts: int) -> None:
    shown = picture(write_run(tmp_path / "demo", SECOND, hosts=hosts))
    boxes = [box for row in shown.rows for box in row.boxes]
    assert len({box.host.name for box in boxes}) == hosts
    assert len({(box.x, box.y) for box in boxes}) == hosts
    assert all(box.x >= 0 and box.x + box.width <= WIDTH and box.y + box.height <= shown.height for box in boxes)
    assert {box.host.name: box.state for box in boxes}["w2"] == "failed"
    assert [row.title for row in shown.rows] == ["Control planes", "Workers"]
    assert {box.small for box in shown.rows[1].boxes} == {hosts > 18}
