"""The page of a run as a browser shows it: on a phone and on a screen, light and dark. Needs Debian's chromium."""

from __future__ import annotations

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

PROBE = """<script>
const shown = (name) => getComputedStyle(document.querySelector(name));
document.title = JSON.stringify({
  width: document.documentElement.scrollWidth, view: innerWidth, paper: shown("body").backgroundColor,
  ink: shown("body").color, smallest: Math.min(...[...document.querySelectorAll("p, li, summary, dd")].map(
    (one) => parseFloat(getComputedStyle(one).fontSize))),
  picture: document.querySelector("svg").getBoundingClientRect().width,
});
</script></body>"""
PHONE, SCREEN = (500, 900), (1280, 900)
"""Pixels; Chromium's window is not narrower than 500."""


def browser(*words: str) -> str:
    program = shutil.which("chromium")
    assert program is not None, "scripts/system-packages installs chromium"
    argv = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout


def scheme(dark: bool) -> list[str]:
    return [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]


def seen(page: Path, size: tuple[int, int], *, dark: bool) -> dict[str, Any]:
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text().replace("</body>", PROBE))
    told = browser(*scheme(dark), f"--window-size={size[0]},{size[1]}", "--dump-dom", probed.as_uri())
    title = re.search(r"<title>(\{.*\})</title>", told)
    assert title is not None, told[:2000]
    found: dict[str, Any] = json.loads(title[1])
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "run.html"
    path.write_text(as_html(write_run(folder / "demo", hosts=40)))
    return path


@pytest.mark.parametrize("size", [PHONE, SCREEN])
def test_nothing_is_wider_than_the_screen(page: Path, size: tuple[int, int]) -> None:
    found = seen(page, size, dark=False)
    assert found["view"] == size[0]
    assert found["width"] <= size[0]
    assert 0 < found["picture"] <= size[0]
    assert found["smallest"] >= 12


def test_it_is_dark_where_that_is_preferred(page: Path) -> None:
    assert seen(page, PHONE, dark=False)["paper"] == "rgb(255, 255, 255)"
    found = seen(page, PHONE, dark=True)
    assert (found["paper"], found["ink"]) == ("rgb(13, 17, 23)", "rgb(230, 237, 243)")


@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_of_it(page: Path, tmp_path: Path, dark: bool) -> None:
    """A screenshot is as big as the window, and has more than one colour."""
    picture = tmp_path / "page.png"
    browser(*scheme(dark), f"--window-size={SCREEN[0]},{SCREEN[1]}", f"--screenshot={picture}", page.as_uri())
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == SCREEN
    assert len(content) > 20_000, "an empty page makes a picture of a few kilobytes"
