"""The page of a run as a browser shows it: on a phone and on a screen, light and dark. Needs Debian's chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubeforge.report.page import as_html
from tests.recorded_run import write_run

PROBE = """
const page = frames[0].document, all = (what) => [...page.querySelectorAll(what)];
const shown = (one) => frames[0].getComputedStyle(one);
for (const one of all("details")) one.open = opened;
document.title = JSON.stringify({
  width: page.documentElement.scrollWidth, view: frames[0].innerWidth,
  over: all("body *")
    .filter((one) => one.getBoundingClientRect().right > frames[0].innerWidth + 1 && !one.closest("pre"))
    .map((one) => one.outerHTML.slice(0, 200)),
  paper: shown(page.body).backgroundColor, ink: shown(page.body).color,
  smallest: Math.min(...all("p, li, summary, dd, td, th, small, q").map((one) => parseFloat(shown(one).fontSize))),
  picture: page.querySelector("svg").getBoundingClientRect().width,
  steps: all(".steps td:nth-child(2)").filter((one) => one.getBoundingClientRect().height > 0).length,
  narrowest: Math.min(...all(".steps td:nth-child(2)").map((one) => one.getBoundingClientRect().width)),
});
"""
PHONE, SCREEN = (375, 812), (1280, 900)
WINDOW = 500
"""Pixels; Chromium's window is not narrower, so the page of a phone stands in a frame."""


def browser(*words: str) -> str:
    program = shutil.which("chromium")
    assert program is not None, "scripts/system-packages installs chromium"
    argv = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout


def framed(page: Path, size: tuple[int, int], *, dark: bool, script: str = "") -> list[str]:
    """Return the browser's words that show the page in a frame as big as a device's screen, and nothing else."""
    frame = f'<iframe width="{size[0]}" height="{size[1]}" srcdoc="{html.escape(page.read_text())}"></iframe>'
    style = "<style>body { margin: 0 } iframe { border: 0; display: block }</style>"
    wrapper = page.with_name("framed.html")
    wrapper.write_text(f"<!doctype html>{style}{frame}<script>onload = () => {{ {script} }}</script>")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    return [scheme, f"--window-size={max(size[0], WINDOW)},{size[1]}", wrapper.as_uri()]


def seen(page: Path, size: tuple[int, int], *, dark: bool = False, opened: bool = False) -> dict[str, Any]:
    script = f"const opened = {json.dumps(opened)};{PROBE}"
    told = browser("--dump-dom", *framed(page, size, dark=dark, script=script))
    title = re.search(r"<title>(\{.*\})</title>", told)
    assert title is not None, told[:2000]
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "run.html"
    path.write_text(as_html(write_run(folder / "demo", hosts=60, more=8)))
    return path


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("size", [PHONE, SCREEN])
def test_nothing_is_wider_than_the_screen(page: Path, size: tuple[int, int], opened: bool) -> None:
    """And all can be read, what is folded as well."""
    found = seen(page, size, opened=opened)
    assert found["view"] == size[0]
    assert found["width"] <= size[0]
    assert found["over"] == []
    assert 0 < found["picture"] <= size[0]
    assert found["smallest"] >= 12
    if opened:
        assert found["steps"] == 60 * 10
        assert found["narrowest"] >= 120


def test_it_is_dark_where_that_is_preferred(page: Path) -> None:
    assert seen(page, PHONE)["paper"] == "rgb(255, 255, 255)"
    found = seen(page, PHONE, dark=True)
    assert (found["paper"], found["ink"]) == ("rgb(13, 17, 23)", "rgb(230, 237, 243)")


@pytest.mark.parametrize("size", [PHONE, SCREEN])
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_of_it(page: Path, tmp_path: Path, dark: bool, size: tuple[int, int]) -> None:
    """A screenshot is as big as the window, and there is something to see."""
    picture = tmp_path / "page.png"
    browser(f"--screenshot={picture}", *framed(page, size, dark=dark))
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (max(size[0], WINDOW), size[1])
    assert len(content) > 20_000, "an empty page makes a picture of a few kilobytes"
