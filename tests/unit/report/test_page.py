from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kubeforge.engine.plan import PlannedSaying
from kubeforge.engine.records import RunRecord
from kubeforge.report.page import as_html
from kubeforge.report.page.timeline import lanes, play_bars, shown_first
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
    assert page.text.strip().startswith(first[0])
    text = page.text[page.text.index("Said while planning") :]  # after the list of what there is
    places = [text.index(word) for word in (*first[1:], "its clock is off", *then, "What changed")]
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
    assert not re.search(r'https?:|url\(|@import|src=|href="[^#]', text)


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
    assert not shown.rows[0].line
    middle = WIDTH // 2
    assert [box.x + box.width // 2 for box in shown.rows[0].boxes] == [middle]
    assert shown.rows[1].line.startswith(f"M{middle} "), "it begins below the control plane"


def test_the_steps_of_a_host_can_be_read(tmp_path: Path) -> None:
    """Without a mouse: no title is needed for it."""
    page = as_html(write_run(tmp_path / "demo"))
    one = page[page.index('<span class="name">w2<') :]
    rows = [" ".join(row.split()) for row in re.findall(r"<tr[^>]*>.*?</tr>", one[: one.index("</table>")], re.DOTALL)]
    assert [read(row).text for row in rows] == [
        "Prepare every host",
        "+1.00 sos.prepare 2 changes4.00 s",
        "Wait",
        "+5.00 swait failednearly4.00 s",
    ]
    assert rows[3].startswith('<tr class="failed">')
    assert page.count("its clock is off") == 1, "a warning stands among what is to be known"


def test_what_was_said_while_planning(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    assert run.plan
    many = (PlannedSaying(host="w2", step="say all", text="x" * 3000),)
    (run.path / "plan.json").write_text(json.dumps(replace(run.plan, said=run.plan.said + many).to_data()))
    told = read(as_html(RunRecord(run.path))).text
    assert "cp1, w1rack 7\n" in told
    assert f"w2{'x' * 2000} … (1000 more characters)\n" in told


def test_of_many_hosts_those_that_failed_are_shown_at_once(tmp_path: Path) -> None:
    found = lanes(write_run(tmp_path / "demo", hosts=50))
    first, others = shown_first(found, 2)
    assert [lane.host for lane in first] == ["cp1", "w2"]
    assert len(others) == 48
    assert [lane.host for lane in shown_first(found, 0)[0]] == ["w2"]
    assert shown_first(found, 50) == (found, ())


def test_places_that_are_named_above_are_on_the_page(tmp_path: Path) -> None:
    page = read(as_html(write_run(tmp_path / "demo")))
    places = {str(attributes["id"]) for tag, attributes in page.tags if tag == "section"}
    linked = {str(attributes["href"]) for tag, attributes in page.tags if tag == "a"}
    assert linked == {f"#{place}" for place in places}
    assert "planned" in places
